// Turns the gateway's answer into rows of clickable tokens, cues, SRT and WebVTT. Pure.
// Times are seconds, and only those in the answer.

const LOOKAHEAD = 24; // characters to search for a word in the text; beyond, it stays unlinked
const CUE_CHARACTERS = 84; // two subtitle lines of 42
const CUE_SECONDS = 6;

const timed = ({ start, end }) => Number.isFinite(start) && Number.isFinite(end) && start >= 0 && end >= start;
const sorted = (list) => (Array.isArray(list) ? list : []).filter((item) => item && timed(item)).sort((a, b) => a.start - b.start);

/** Splits `text` into tokens, `{text}` or `{text, start, end}`; joined, they give `text`. */
export function link(text, words) {
	const tokens = [];
	const lower = text.toLowerCase();
	const folded = lower.length === text.length ? lower : text; // some letters change length
	let at = 0;
	for (const { word, start, end } of words) {
		const sought = String(word ?? '').trim();
		let found = text.indexOf(sought, at);
		if (found < 0 || found > at + LOOKAHEAD) found = folded.indexOf(sought.toLowerCase(), at);
		if (!sought || found < 0 || found > at + LOOKAHEAD) continue;
		if (found > at) tokens.push({ text: text.slice(at, found) });
		at = found + sought.length;
		tokens.push({ text: text.slice(found, at), start, end });
	}
	if (at < text.length) tokens.push({ text: text.slice(at) });
	return tokens;
}

/** Rows `{start, end, tokens}` of an answer in playing order; none if it has no timings. */
export function rows({ text = '', words, segments }) {
	const spoken = sorted(words);
	const parts = sorted(segments).filter((segment) => String(segment.text ?? '').trim());
	if (!parts.length) return lines(link(text.trim() || spoken.map(({ word }) => word).join(' '), spoken));
	let next = 0;
	return parts.map(({ start, end, text: said }, index) => {
		const own = [];
		const until = parts[index + 1]?.start ?? Infinity;
		while (next < spoken.length && (spoken[next].start + spoken[next].end) / 2 < until) own.push(spoken[next++]);
		const tokens = link(said.trim(), own);
		return { start, end, tokens: tokens.some(timed) ? tokens : [{ text: said.trim(), start, end }] };
	});
}

// Words without segments: a new row after a sentence, a pause of a second, or 160 characters.
function lines(tokens) {
	const made = [];
	let row = null;
	let length = 0;
	for (const token of tokens) {
		const ended = length > 40 && /[.!?。！？…]\s*$/.test(row.tokens.at(-1).text);
		if (!row || (timed(token) && (ended || length > 160 || token.start > row.end + 1))) {
			made.push(row = { tokens: [] });
			length = 0;
		}
		row.tokens.push(token);
		length += token.text.length;
		row.start ??= token.start;
		row.end = token.end ?? row.end;
	}
	return made.filter(timed);
}

/** Subtitle cues `{start, end, text}`: a row, or a long row cut between words. */
export function cues(list) {
	const made = [];
	for (const { start, end, tokens } of list) {
		const long = end - start > CUE_SECONDS || tokens.reduce((sum, { text }) => sum + text.length, 0) > CUE_CHARACTERS;
		let cue = null;
		for (const token of tokens) {
			const full = cue && long && timed(token)
				&& (cue.text.length + token.text.length > CUE_CHARACTERS || token.end - cue.start > CUE_SECONDS);
			if (!cue || full) made.push(cue = { start: long ? token.start ?? start : start, end, text: '' });
			cue.text += token.text;
			if (long) cue.end = token.end ?? cue.end;
		}
	}
	return made.map((cue) => ({ ...cue, text: cue.text.replace(/\s+/g, ' ').trim() }));
}

const pad = (value, width = 2) => String(Math.floor(value)).padStart(width, '0');

/** `h:mm:ss`, or `m:ss` below an hour. */
export function clock(seconds) {
	const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60)];
	return `${hours ? `${hours}:${pad(minutes % 60)}` : minutes}:${pad(seconds % 60)}`;
}

function span({ start, end }, mark) {
	const stamp = (seconds) => {
		const ms = Math.round(seconds * 1000);
		return `${pad(ms / 3600000)}:${pad((ms / 60000) % 60)}:${pad((ms / 1000) % 60)}${mark}${pad(ms % 1000, 3)}`;
	};
	return `${stamp(start)} --> ${stamp(end)}`;
}

// An arrow inside a cue would read as a timing line; WebVTT is also markup: w3.org/TR/webvtt1/#webvtt-cue-text
const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
export const srt = (list) => list.map((cue, index) => `${index + 1}\n${span(cue, ',')}\n${cue.text.replaceAll('-->', '->')}\n`).join('\n');
export const vtt = (list) => `WEBVTT\n\n${list.map((cue) => `${span(cue, '.')}\n${escaped(cue.text)}\n`).join('\n')}`;

/** Index of the last item that starts at or before `seconds`, by bisection; -1 if none. */
export function indexAt(items, seconds) {
	let [low, high] = [0, items.length];
	while (low < high) {
		const middle = (low + high) >> 1;
		if (items[middle].start <= seconds) low = middle + 1;
		else high = middle;
	}
	return low - 1;
}
