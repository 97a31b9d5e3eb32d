// Connects the page's parts. The key is only in this tab's sessionStorage and in the Authorization header.

import { CAP_BYTES, CallError, PART_BYTES, base, listModels, singleRequestBytes, transcribe } from './api.js';
import { showCall } from './call.js';
import { $, make } from './dom.js';
import { explain } from './errors.js';
import { picker } from './models.js';
import { stage } from './stage.js';
import { cues, rows, srt, vtt } from './timing.js';
import { transcript } from './transcript.js';

const KEY_NOTE = 'Kept in this tab only.';
const FORMATS = {
	txt: ['text/plain', ({ body }) => body.text],
	srt: ['application/x-subrip', (result) => srt(cues(result.rows))],
	vtt: ['text/vtt', (result) => vtt(cues(result.rows))],
	json: ['application/json', ({ body }) => JSON.stringify(body, null, 2)],
};

const kept = { // if storage is blocked, lasts as long as the page
	get(name) {
		try {
			return JSON.parse(sessionStorage.getItem(name));
		} catch {
			return null;
		}
	},
	set(name, value) {
		try {
			sessionStorage.setItem(name, JSON.stringify(value));
		} catch { /* blocked */ }
	},
};

let key = '';
let busy = null; // {controller, sent, since} of the current call
let result = null; // {body, rows, call}
const totals = kept.get('stt-totals') ?? { seconds: 0, requests: 0 };
const limit = singleRequestBytes();

let paper = null; // the stage draws before it exists
const audio = stage(CAP_BYTES, () => clear(), (...now) => paper?.mark(...now));
paper = transcript($('paper'), $('follow'), audio.player);
const models = picker($('models'), () => {
	$('timed-row').hidden = !canTime();
	ready();
});
const canTime = () => Boolean(models.picked?.supported_features?.includes('timestamps'));

// ---- the key

function setKey(value, words = KEY_NOTE, wrong = false) {
	key = value;
	kept.set('stt-key', key);
	$('key').value = key;
	$('key').readOnly = Boolean(key);
	$('key').ariaInvalid = String(wrong);
	$('key-go').textContent = key ? 'Forget' : 'Connect';
	$('key-note').textContent = words;
	$('key-panel').classList.toggle('wanted', !key);
	$('refresh').hidden = !key;
	if (key) return;
	models.set([], 'Connect a key to see its models.');
	if (wrong) $('key').focus();
}

async function refresh(candidate = key) {
	try {
		if (!/^[\x21-\x7e]+$/.test(candidate)) throw new CallError('http', { status: 401 });
		const found = await listModels(candidate);
		if (!key) setKey(candidate, `Connected. ${KEY_NOTE}`);
		models.set(found, 'No model is online for this key.');
	} catch (error) {
		const [title, next] = explain(error);
		if (error.status === 401) setKey('', `${title}. ${next}`, true);
		else $('key-note').textContent = `${title}. ${next}`;
	}
}

$('key-form').onsubmit = (event) => {
	event.preventDefault();
	if (key) setKey('');
	else refresh($('key').value.trim());
};
$('refresh').onclick = () => refresh();

// ---- one call

const settings = () => ({
	base,
	model: models.picked?.id ?? 'MODEL',
	language: $('language').value.trim(),
	prompt: $('prompt').value.trim(),
	timed: canTime() && $('timed').checked,
	file: audio.file ?? new File([], 'audio.wav'),
	partBytes: PART_BYTES,
});

function missing() {
	if (audio.recording) return ['Stop the recording to transcribe it.', $('play')];
	if (!key) return ['Connect a key to begin.', $('key')];
	if (!models.picked) return ['No model is online yet.', $('refresh')];
	if (!audio.file) return ['Add some audio.', $('choose')];
	return null;
}

async function ready() {
	if (busy) return;
	$('status').textContent = missing()?.[0] ?? `Ready for ${models.picked.id}`;
	$('go').classList.toggle('waiting', Boolean(missing()));
	const bytes = await limit;
	const call = settings();
	if (!busy && !result) showCall({ ...call, uploaded: call.file.size > bytes }, false);
}

function progress() {
	const { sent, since } = busy;
	$('progress').classList.toggle('working', Boolean(since));
	$('progress').firstChild.style.scale = `${sent} 1`;
	$('progress').ariaValueNow = since ? null : Math.round(sent * 100);
	$('status').textContent = since
		? `Transcribing ${((performance.now() - since) / 1000).toFixed(1)} s`
		: `Uploading ${Math.round(sent * 100)} %`;
}

function announce(words) { // once: a live region repeats each change
	if ($('announce').textContent !== words) $('announce').textContent = words;
}

function setBusy(next) {
	busy = next;
	document.body.classList.toggle('busy', Boolean(busy));
	$('go').textContent = busy ? 'Cancel' : 'Transcribe';
	$('progress').hidden = !busy;
	audio.lock(Boolean(busy));
	if (busy) progress();
	else ready();
}

async function go() {
	if (busy) return busy.controller.abort();
	if (missing()) return missing()[1].focus();
	const call = settings();
	clear('');
	if (call.file.size > CAP_BYTES) return fail(new CallError('http', { status: 413, body: { message: `${call.file.name} has ${call.file.size.toLocaleString('en')} bytes.` } }));
	const began = performance.now();
	const controller = new AbortController();
	setBusy({ controller, sent: 0, since: 0 });
	const onProgress = (sent) => {
		busy.sent = sent;
		busy.since = sent < 1 ? 0 : busy.since || performance.now();
		announce(sent < 1 ? 'Uploading.' : 'Uploaded. Transcribing.');
		progress();
	};
	const timer = setInterval(progress, 100);
	const { reply, error } = await transcribe(call, await limit, { key, signal: controller.signal, onProgress })
		.then((got) => ({ reply: got }), (thrown) => ({ error: thrown }));
	clearInterval(timer);
	setBusy(null);
	if (error && !(error instanceof CallError)) throw error; // a bug in this page
	if ((error ?? reply).header('x-request-id')) account((error ?? reply).header, performance.now() - began, reply?.body.usage?.seconds);
	if (error) return fail(error);
	result = { body: reply.body, rows: rows(reply.body), call };
	if (result.rows.length) paper.setRows(result.rows);
	else showText(reply, call);
	$('status').textContent = result.rows.length ? 'Click a word to hear it. Arrows, Enter and Space work too.' : 'Done.';
	announce('Done.');
	tools();
	return showCall({ ...call, uploaded: reply.uploaded }, true);
}

function account(header, ms, seconds) {
	totals.requests += 1;
	totals.seconds += seconds ?? 0;
	kept.set('stt-totals', totals);
	for (const name of ['provider', 'attempts']) $(`last-${name}`).textContent = header(`x-${name}`) ?? '–';
	$('last-request').textContent = header('x-request-id');
	$('last-billed').textContent = seconds === undefined ? '–' : `${seconds} s`;
	$('last-took').textContent = `${(ms / 1000).toFixed(1)} s`;
	showTotals();
}

function showTotals() {
	for (const name of ['seconds', 'requests']) $(`total-${name}`).textContent = totals[name].toLocaleString('en');
}

// ---- the answer

function showText({ body, header }, { timed }) {
	const textContent = body.text.trim();
	const note = header('x-downgraded-response-format')
		? 'This deployment has no timestamps, so you got plain text.'
		: timed && textContent && 'The answer has no usable timestamps.';
	paper.set(
		...(note ? [make('p', { id: 'banner', textContent: note })] : []),
		make('p', { className: 'flat', textContent: textContent || 'No speech was found in this audio.' }));
}

function clear(words = 'The transcript appears here.') {
	result = null;
	paper.set(make('p', { className: 'empty', textContent: words }));
	tools();
	ready();
}

function tools() {
	$('copy').disabled = !result?.body.text;
	for (const name of Object.keys(FORMATS)) {
		$(name).disabled = !result || (['srt', 'vtt'].includes(name) && !result.rows.length);
		$(name).title = result && $(name).disabled ? 'Needs timestamps' : '';
	}
}

async function fail(error) {
	if (error.type === 'no_provider') await refresh();
	const [title, next, act] = explain(error, models.all.length);
	const [textContent, onclick] = {
		key: ['Enter a key', () => $('key').focus()],
		model: ['Pick a model', models.focus],
		choose: ['Choose another file', audio.choose],
		language: ['Change the language', () => $('language').focus()],
		retry: ['Try again', go],
	}[act];
	paper.set(make('div', { className: `problem ${error.kind}`, role: 'alert' },
		make('h3', { textContent: title }),
		make('p', { textContent: error.kind === 'http' ? error.message : '' }),
		make('p', { textContent: next }),
		make('button', { textContent, onclick })));
	if (error.status === 401) setKey('', `${title}. ${next}`, true);
}

async function copy(text, button) {
	button.textContent = await navigator.clipboard.writeText(text).then(() => 'Copied', () => 'Blocked');
	setTimeout(() => { button.textContent = 'Copy'; }, 1500);
}

function save(name) {
	const [type, write] = FORMATS[name];
	const href = URL.createObjectURL(new Blob([write(result)], { type }));
	make('a', { href, download: `${result.call.file.name.replace(/\.\w+$/, '')}.${name}` }).click();
	setTimeout(() => URL.revokeObjectURL(href), 1000);
}

$('go').onclick = go;
$('copy').onclick = () => copy(result.body.text, $('copy'));
$('copy-code').onclick = () => copy($('code').textContent, $('copy-code'));
for (const name of Object.keys(FORMATS)) $(name).onclick = () => save(name);
for (const id of ['language', 'prompt', 'timed']) $(id).oninput = ready;
addEventListener('keydown', ({ key: pressed, ctrlKey, metaKey }) => {
	if (busy ? pressed === 'Escape' : pressed === 'Enter' && (ctrlKey || metaKey)) go();
});

showTotals();
clear();
const before = kept.get('stt-key');
setKey('');
if (before) refresh(before);
