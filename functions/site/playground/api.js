// The gateway's public API, at the origin and stage path this page came from. The key goes in a header only.

export const base = location.origin + location.pathname.replace(/\/playground\/?$/, '');
export const CAP_BYTES = 26_214_400; // 25 MB, the gateway's file limit
export const PART_BYTES = 4_000_000; // a part must fit in one request
const AWS_BYTES = 4_400_000;

/** A failed call: `kind` is `http`, `network` or `cancelled`; the rest is from the gateway. */
export class CallError extends Error {
	constructor(kind, { status = 0, body, header = () => null } = {}) {
		const { message, type, code, param } = body?.error ?? {};
		super(String(message ?? body?.message ?? kind));
		Object.assign(this, { kind, status, type, code, param, header });
	}
}

/** One request; `onSent(bytes)` reports upload progress. Resolves to `{body, header(name)}`. */
function send(path, { key, value, signal, onSent }) {
	return new Promise((resolve, reject) => {
		const xhr = new XMLHttpRequest(); // fetch reports no upload progress
		xhr.open(value ? 'POST' : 'GET', base + path);
		xhr.setRequestHeader('authorization', `Bearer ${key}`);
		const form = value instanceof FormData;
		if (value && !form) xhr.setRequestHeader('content-type', 'application/json');
		if (onSent) {
			xhr.upload.onprogress = ({ loaded }) => onSent(loaded);
			xhr.upload.onload = () => onSent(Infinity);
		}
		signal?.addEventListener('abort', () => xhr.abort());
		xhr.onabort = () => reject(new CallError('cancelled'));
		xhr.onerror = () => reject(new CallError('network'));
		xhr.onload = () => {
			const reply = { status: xhr.status, header: (name) => xhr.getResponseHeader(name) };
			try {
				reply.body = JSON.parse(xhr.responseText);
			} catch { /* not the gateway's format */ }
			if (xhr.status < 300 && reply.body) resolve(reply);
			else reject(new CallError('http', reply));
		};
		if (signal?.aborted) reject(new CallError('cancelled'));
		else xhr.send(form ? value : JSON.stringify(value));
	});
}

export const listModels = async (key) => (await send('/v1/models', { key })).body.data;

/** Bytes of audio that fit in one request. If unknown, as on AWS: uploads work everywhere. */
export const singleRequestBytes = () => fetch(`${base}/playground/config.json`)
	.then((reply) => reply.json()).then((config) => config.single_request_bytes ?? AWS_BYTES, () => AWS_BYTES);

async function upload(file, { onProgress, ...options }) {
	const { id } = (await send('/v1/uploads', {
		...options,
		value: { filename: file.name, bytes: file.size, mime_type: file.type || 'application/octet-stream', purpose: 'user_data' },
	})).body;
	try {
		const part_ids = [];
		for (let at = 0; at < file.size; at += PART_BYTES) {
			const part = file.slice(at, at + PART_BYTES);
			const value = new FormData();
			value.append('data', part, 'part');
			const onSent = (bytes) => onProgress(Math.min(0.99, (at + Math.min(bytes, part.size)) / file.size));
			part_ids.push((await send(`/v1/uploads/${id}/parts`, { ...options, value, onSent })).body.id);
		}
		return (await send(`/v1/uploads/${id}/complete`, { ...options, value: { part_ids } })).body.file.id;
	} catch (error) {
		send(`/v1/uploads/${id}/cancel`, { key: options.key, value: {} }).catch(() => {}); // it expires anyway
		throw error;
	}
}

/**
 * Transcribes `call.file`, through an upload if it is larger than `limit` or the gateway answers 413.
 * `onProgress(fraction)` reaches 1 at the last byte sent. Resolves to `{body, header(name), uploaded}`.
 */
export async function transcribe({ file, model, language, prompt, timed }, limit, { onProgress, ...options }) {
	const post = async (name, source, onSent) => {
		const value = new FormData();
		const fields = { model, language, prompt, response_format: timed && 'verbose_json', [name]: source };
		for (const [field, content] of Object.entries(fields)) if (content) value.append(field, content);
		if (timed) for (const each of ['word', 'segment']) value.append('timestamp_granularities[]', each);
		return { ...(await send('/v1/audio/transcriptions', { ...options, value, onSent })), uploaded: name === 'file_id' };
	};
	if (file.size <= limit) {
		try {
			return await post('file', file, (bytes) => onProgress(Math.min(1, bytes / file.size)));
		} catch (error) {
			if (error.status !== 413) throw error;
		}
	}
	const id = await upload(file, { onProgress, ...options });
	onProgress(1);
	return post('file_id', id);
}
