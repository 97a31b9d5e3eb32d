// The stage: one piece of audio, dropped, chosen or recorded, drawn as a waveform and played back.

import { $ } from './dom.js';
import { bars, measure } from './peaks.js';
import { record, refusal } from './recorder.js';
import { clock } from './timing.js';

const BAR = 4; // CSS pixels from one bar to the next
const LEVEL_MS = 60;
const SEEK_SECONDS = { ArrowRight: 2, ArrowUp: 2, ArrowLeft: -2, ArrowDown: -2 };
const GLYPHS = { Play: 'M6 3.5v13L16.5 10z', Pause: 'M5.5 4h3.2v12H5.5zM11.3 4h3.2v12h-3.2z', 'Stop recording': 'M5 5h10v10H5z' };

const weight = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
// Shown before there is audio: the outline of a sentence, always the same.
const outline = (at) => Math.max(0.05, Math.sin(at * 16 + 0.4) * (0.4 + 0.6 * Math.abs(Math.sin(at * 330) * Math.cos(at * 95))));

/** `onChange()` runs after any change of audio; `onTick(seconds, playing)`, each frame, returns the word to light. */
export function stage(maxBytes, onChange, onTick) {
	const [root, audio, canvas, seekbar, note] = ['stage', 'audio', 'wave', 'seek', 'wave-note'].map($);
	const still = matchMedia('(prefers-reduced-motion: reduce)');
	let file = null;
	let peaks = [];
	let shape = [];
	let duration = 0;
	let drawing = new AbortController();
	let recording = null; // {level, stop, discard, done, levels, since}
	let locked = false;
	let frame = 0;

	function outlineOf(count) {
		if (recording) return Array.from({ length: count }, (_, index) => recording.levels.at(index - count) ?? 0);
		if (shape.length !== count) shape = peaks.length ? bars(peaks, count) : Array.from({ length: count }, (_, index) => (file ? 0 : outline(index / count)));
		return shape;
	}

	function draw(word) {
		const { clientWidth: width, clientHeight: height } = canvas;
		const ratio = Math.min(devicePixelRatio, 2);
		[canvas.width, canvas.height] = [width * ratio, height * ratio];
		const pen = canvas.getContext('2d');
		pen.scale(ratio, ratio);
		const style = getComputedStyle(root);
		const [quiet, played, amber, live] = ['--wave', '--mint', '--amber', '--live'].map((name) => style.getPropertyValue(name));
		const count = Math.floor(width / BAR);
		const head = duration ? audio.currentTime / duration : 0;
		outlineOf(count).forEach((value, index) => {
			const seconds = (index / count) * duration;
			const spoken = word && seconds >= word.start && seconds <= word.end;
			pen.fillStyle = recording ? live : spoken ? amber : index / count < head ? played : quiet;
			const tall = Math.max(2, value * (height - 32));
			pen.fillRect(index * BAR, (height - tall) / 2, 2.5, tall);
		});
		pen.fillStyle = amber;
		if (duration) pen.fillRect(Math.min(width - 2, head * width), 0, 2, height);
	}

	function tick() {
		cancelAnimationFrame(frame);
		const now = recording ? (performance.now() - recording.since) / 1000 : audio.currentTime;
		const playing = !audio.paused && !audio.ended;
		draw(onTick(now, playing));
		$('clock').textContent = duration ? `${clock(now)} / ${clock(duration)}` : clock(now > 1e8 ? 0 : now);
		seekbar.value = now / duration || 0;
		seekbar.ariaValueText = `${clock(now)} of ${clock(duration)}`;
		if (playing) frame = requestAnimationFrame(tick);
	}

	function show() {
		root.dataset.state = recording ? 'recording' : file ? 'ready' : 'empty';
		const action = recording ? 'Stop recording' : audio.paused ? 'Play' : 'Pause';
		$('play').ariaLabel = action;
		$('glyph').setAttribute('d', GLYPHS[action]);
		$('play').disabled = !recording && !duration;
		seekbar.disabled = !duration;
		$('file-name').textContent = recording ? 'Recording' : file ? `${file.name} · ${weight(file.size)}` : 'No audio yet';
		$('remove').hidden = !recording && !file;
		$('remove').textContent = recording ? 'Discard' : 'Remove';
		for (const id of ['choose', 'record', 'remove']) $(id).disabled = locked;
		tick();
	}

	function set(next, recorded = false) {
		drawing.abort();
		drawing = new AbortController();
		URL.revokeObjectURL(audio.src);
		[file, peaks, shape, duration] = [next, [], [], 0];
		note.textContent = next ? 'Reading the audio…' : '';
		if (next) audio.src = URL.createObjectURL(next);
		else audio.removeAttribute('src');
		audio.load();
		$('save').hidden = !recorded;
		if (recorded) Object.assign($('save'), { href: audio.src, download: next.name });
		onChange();
		show();
	}

	async function picture() {
		const { signal } = drawing;
		const found = file.size > maxBytes ? [] : await measure(file, duration, signal);
		if (signal.aborted) return;
		[peaks, shape] = [found, []];
		note.textContent = found.length ? '' : file.size > maxBytes ? 'The file is over the limit of 25 MB.' : 'No waveform for this file. You can still play and transcribe it.';
		tick();
	}

	audio.ondurationchange = () => {
		if (audio.duration === Infinity) audio.currentTime = 1e9; // a recording's header has no length: this finds it
		if (!(audio.duration < Infinity) || duration === audio.duration) return;
		if (!duration) {
			if (audio.currentTime) audio.currentTime = 0;
			duration = audio.duration;
			picture();
		}
		duration = audio.duration;
		show();
	};
	audio.onerror = () => {
		note.textContent = 'This browser cannot play the file. The gateway may still accept it.';
	};
	audio.onplay = audio.onpause = audio.onended = audio.onseeked = show;

	const player = {
		seek(seconds) {
			if (duration) audio.currentTime = Math.min(Math.max(0, seconds), duration);
		},
		play: () => audio.play().catch(() => {}),
		toggle: () => (audio.paused ? player.play() : audio.pause()),
	};
	$('play').onclick = () => (recording ? recording.stop() : player.toggle());
	seekbar.oninput = () => player.seek(seekbar.value * duration);
	seekbar.onkeydown = (event) => {
		const step = SEEK_SECONDS[event.key];
		if (!step && event.key !== ' ') return;
		event.preventDefault();
		if (step) player.seek(audio.currentTime + step);
		else player.toggle();
	};

	const choose = () => $('file').click();
	$('choose').onclick = choose;
	$('file').onchange = () => {
		if ($('file').files[0]) set($('file').files[0]);
		$('file').value = '';
	};
	$('remove').onclick = () => {
		if (recording) recording.discard();
		else set(null);
		$('choose').focus();
	};
	for (const name of ['dragover', 'dragleave', 'drop']) {
		addEventListener(name, (event) => {
			event.preventDefault();
			root.classList.toggle('over', name === 'dragover' && !locked);
			const dropped = name === 'drop' && event.dataTransfer.files[0];
			if (dropped && !locked && !recording) set(dropped);
		});
	}

	$('record').onclick = async () => {
		note.textContent = 'Waiting for the microphone…';
		try {
			recording = { ...(await record(maxBytes)), levels: [], since: performance.now() };
		} catch (error) {
			note.textContent = refusal(error);
			return;
		}
		note.textContent = '';
		onChange();
		show();
		$('play').focus();
		const meter = setInterval(() => {
			recording.levels.push(recording.level());
			if (recording.levels.length > 1000) recording.levels.shift();
			tick();
		}, still.matches ? 500 : LEVEL_MS);
		const made = await recording.done;
		clearInterval(meter);
		recording = null;
		set(made, Boolean(made));
	};

	new ResizeObserver(tick).observe(canvas);
	show();

	return {
		player,
		choose,
		get file() { return file; },
		get recording() { return Boolean(recording); },
		lock(on) {
			locked = on;
			show();
		},
	};
}
