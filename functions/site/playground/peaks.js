// A file's loudness over time, for the waveform, in bounded memory. WAV and MP3 can be cut anywhere and are decoded
// in slices; other formats all at once, only if short.

const RATE = 8000; // Hz, enough for a picture; decoding resamples to it
const STEP = RATE / 100; // samples in a peak
const SLICE_BYTES = 512 * 1024;
const WHOLE_SECONDS = 600; // 48 kHz stereo: briefly 230 MB
const WHOLE_BYTES = 12_000_000;

/** Peaks of 0 to 1, 100 per second; empty if the browser cannot decode the file or it is too long. */
export async function measure(file, seconds, signal) {
	const context = new OfflineAudioContext(1, 1, RATE);
	const peaks = [];
	const take = async (...bytes) => {
		try {
			const buffer = await context.decodeAudioData(await new Blob(bytes).arrayBuffer());
			gather(Array.from({ length: buffer.numberOfChannels }, (_, index) => buffer.getChannelData(index)), peaks);
		} catch { /* nothing to draw: a tag, a cover picture, or an unknown format */ }
	};
	const head = new DataView(await file.slice(0, 65536).arrayBuffer());
	const { data, align, mp3 } = layout(head);
	const step = SLICE_BYTES - (SLICE_BYTES % (align || 1));
	if (data || mp3) {
		for (let at = data ?? 0; at < file.size && !signal.aborted; at += step) {
			const slice = file.slice(at, at + step);
			if (data) head.setUint32(data - 4, slice.size, true); // ignore the header's size: piped files have 0 or 2^32 - 1
			await take(...(data ? [head.buffer.slice(0, data)] : []), slice);
		}
	} else if (file.size < WHOLE_BYTES && seconds < WHOLE_SECONDS) await take(file);
	return peaks;
}

function gather(channels, peaks) {
	for (let at = 0; at < channels[0].length; at += STEP) {
		let peak = 0;
		for (const samples of channels) {
			for (let index = at; index < at + STEP && index < samples.length; index++) peak = Math.max(peak, Math.abs(samples[index]));
		}
		peaks.push(peak);
	}
}

// WAV: where the samples begin, and their width. MP3: starts with an ID3 tag or a layer III frame.
function layout(head) {
	if (head.byteLength < 12) return {};
	const mark = head.getUint32(0);
	if (mark >>> 8 === 0x494433 || (mark & 0xffe60000) >>> 0 === 0xffe20000) return { mp3: true };
	let align = 0;
	if (mark === 0x52494646) { // RIFF
		for (let at = 12; at + 24 < head.byteLength;) {
			const id = head.getUint32(at);
			if (id === 0x666d7420) align = head.getUint16(at + 20, true); // fmt
			if (id === 0x64617461) return align ? { align, data: at + 8 } : {}; // data
			at += 8 + head.getUint32(at + 4, true) + (head.getUint8(at + 4) & 1);
		}
	}
	return {};
}

/** `count` bars of 0 to 1 from any number of peaks, scaled so that quiet recordings show. */
export function bars(peaks, count) {
	const loudest = peaks.reduce((most, peak) => Math.max(most, peak), 0.05);
	return Array.from({ length: count }, (_, index) => {
		let peak = 0;
		for (let at = Math.floor((index * peaks.length) / count); at < ((index + 1) * peaks.length) / count; at++) peak = Math.max(peak, peaks[at]);
		return Math.sqrt(peak / loudest);
	});
}
