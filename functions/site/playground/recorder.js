// The microphone: a MediaRecorder in the browser's own container, and the current loudness.

const ENDINGS = { 'audio/webm': 'webm', 'audio/mp4': 'm4a', 'audio/ogg': 'ogg' };

/** Explains why the microphone did not open. */
export const refusal = ({ name }) => ({
	NotAllowedError: 'The browser blocked the microphone. Allow it for this page, then record again.',
	NotFoundError: 'No microphone was found.',
	NotReadableError: 'Another program is using the microphone.',
})[name] ?? 'Recording needs a current browser and https or localhost.';

/** Records at once. Returns `{level(), stop(), discard(), done}`; `done` resolves to a File, or null if discarded. */
export async function record(maxBytes) {
	const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
	const mimeType = Object.keys(ENDINGS).find((type) => MediaRecorder.isTypeSupported(type));
	const recorder = new MediaRecorder(stream, { mimeType });
	const context = new AudioContext();
	const analyser = context.createAnalyser();
	context.createMediaStreamSource(stream).connect(analyser);
	const samples = new Float32Array(analyser.fftSize);
	let chunks = [];
	let bytes = 0;
	const stop = () => recorder.state !== 'inactive' && recorder.stop();
	const done = new Promise((resolve) => {
		recorder.ondataavailable = ({ data }) => {
			bytes += data.size;
			if (bytes > maxBytes) stop();
			else chunks.push(data);
		};
		recorder.onstop = () => {
			stream.getTracks().forEach((track) => track.stop());
			context.close();
			const type = recorder.mimeType.split(';')[0];
			resolve(chunks.length ? new File(chunks, `recording.${ENDINGS[type] ?? 'webm'}`, { type }) : null);
		};
	});
	recorder.start(1000);
	return {
		done,
		stop,
		discard() {
			recorder.ondataavailable = null;
			chunks = [];
			stop();
		},
		level() {
			analyser.getFloatTimeDomainData(samples);
			return Math.min(1, 1.3 * Math.sqrt(samples.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0)));
		},
	};
}
