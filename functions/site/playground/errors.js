// Error messages and what to do next. Pure.

const seconds = (value) => (value > 0 ? `${Math.ceil(value)} seconds` : 'a moment');

/** `[title, next, act]` for a CallError; `act` is the remedy: `key`, `model`, `choose`, `language` or `retry`; `online`: models. */
export function explain({ kind, status, type, code, param, header }, online = 0) {
	const after = header('retry-after');
	if (kind === 'cancelled') return ['Cancelled', 'The audio is still here.', 'retry'];
	if (kind === 'network') return ['No answer from the gateway', 'The connection failed. Check the network, then try again.', 'retry'];
	if (status === 401) return ['This key was not accepted', 'Enter a valid key.', 'key'];
	if (status === 403) return ['This key is not allowed to do that', 'Ask the operator for access, or use another key.', 'key'];
	if (type === 'no_provider') {
		return ['No provider serves this model now', online
			? `Pick another model. The refreshed list shows ${online}.`
			: 'No model is online for this key. An operator must start one.', 'model'];
	}
	if (status === 413) return ['The file is too large', 'The limit is 25 MB (26,214,400 bytes). Shorten the audio, or compress it to MP3 or Opus.', 'choose'];
	if (status === 415) return ['This type of file is not accepted', 'Use WAV, MP3, M4A, FLAC, OGG or WebM with an audio track.', 'choose'];
	if (type === 'missing_file') return ['The file is empty', 'Choose a file with audio.', 'choose'];
	if (code === 'quota_exceeded') return ['The quota is used up', `Try again in ${seconds(after)}.`, 'retry'];
	if (status === 429) return ['Too many requests', `Try again in ${seconds(after)}.`, 'retry'];
	if (status === 502 && after) return ['Every provider is busy', `Try again in ${seconds(after)}.`, 'retry'];
	if (status === 502) return ['Every provider failed', 'Pick another model, or give the operator the request id.', 'model'];
	if (status === 504) return ['It took too long', 'The gateway stopped waiting. Try shorter audio.', 'choose'];
	if (status >= 500) return ['The gateway failed', 'Try again. If it fails again, give the operator the request id.', 'retry'];
	if (param === 'language') return ['The language was not understood', 'Use a code such as en or de, or leave it empty.', 'language'];
	return ['The gateway refused the request', 'Change the field it names, then try again.', 'retry'];
}
