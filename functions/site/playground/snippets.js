// The call as curl, Python and Node: pasted, they do what the page does. Pure.
// `call`: {base, model, language, prompt, timed, file: {name, type, size}, uploaded, partBytes}

const KEY = 'YOUR_API_KEY';
const shell = (value) => `'${value.replaceAll("'", "'\\''")}'`;
const text = JSON.stringify; // a JSON string is a string literal in Python and in JavaScript
const mime = ({ type }) => type || 'application/octet-stream';

const fields = ({ model, language, prompt, timed }) =>
	Object.entries({ model, language, prompt, response_format: timed && 'verbose_json' }).filter(([, value]) => value);

// The arguments of `create`, for a language that writes `name<is>value`.
const listed = (call, is, indent, sources) => [
	...sources,
	...fields(call).map(([name, value]) => name + is + text(value)),
	...(call.timed ? [`timestamp_granularities${is}["word", "segment"]`] : []),
].map((line) => `${indent}${line},\n`).join('');

export function curl(call) {
	const { base, file, partBytes } = call;
	// @, < and ; are special in -F, not in --form-string
	const parts = fields(call).map(([name, value]) =>
		/^[\w./-]+$/.test(value) ? `-F ${name}=${value}` : `--form-string ${shell(`${name}=${value}`)}`);
	if (call.timed) parts.push("-F 'timestamp_granularities[]=word'", "-F 'timestamp_granularities[]=segment'");
	const path = /^[\w. -]+$/.test(file.name) ? file.name : `"${file.name.replace(/["\\]/g, '\\$&')}"`;
	const post = (source) => [`curl ${shell(`${base}/v1/audio/transcriptions`)}`, `-H 'Authorization: Bearer ${KEY}'`, ...parts, `-F ${source}`].join(' \\\n  ');
	if (!call.uploaded) return post(shell(`file=@${path}${file.type && `;type=${file.type}`}`));
	return `# needs jq
auth='Authorization: Bearer ${KEY}' json='Content-Type: application/json'
uploads=${shell(`${base}/v1/uploads`)}
id=$(curl -sS "$uploads" -H "$auth" -H "$json" -d ${shell(text({ filename: file.name, bytes: file.size, mime_type: mime(file), purpose: 'user_data' }))} | jq -r .id)
dir=$(mktemp -d)
split -b ${partBytes} -- ${shell(file.name)} "$dir/"
parts=$(for part in "$dir"/*; do curl -sS "$uploads/$id/parts" -H "$auth" -F "data=@$part" | jq .id; done | paste -sd, -)
file_id=$(curl -sS "$uploads/$id/complete" -H "$auth" -H "$json" -d "{\\"part_ids\\": [$parts]}" | jq -r .file.id)
${post('"file_id=$file_id"')}`;
}

export function python(call) {
	const { base, file, partBytes } = call;
	const create = (...sources) => `result = client.audio.transcriptions.create(
${listed(call, '=', '    ', sources)})
print(result.text)`;
	return `from openai import OpenAI

client = OpenAI(base_url=${text(`${base}/v1`)}, api_key="${KEY}")
${call.uploaded ? `upload = client.uploads.upload_file_chunked(
    file=${text(file.name)}, mime_type=${text(mime(file))}, purpose="user_data", part_size=${partBytes}
)
${create('file=b""', 'extra_body={"file_id": upload.file.id}')}` : create(`file=open(${text(file.name)}, "rb")`)}`;
}

export function node(call) {
	const { base, file, partBytes } = call;
	const create = (...sources) => `const result = await client.audio.transcriptions.create({
${listed(call, ': ', '  ', sources)}});
console.log(result.text);`;
	return `import fs from "node:fs";
import OpenAI${call.uploaded ? ', { toFile }' : ''} from "openai";

const client = new OpenAI({ baseURL: ${text(`${base}/v1`)}, apiKey: "${KEY}" });
${call.uploaded ? `const audio = fs.readFileSync(${text(file.name)});
const upload = await client.uploads.create({
  filename: ${text(file.name)}, bytes: audio.length, mime_type: ${text(mime(file))}, purpose: "user_data",
});
const part_ids = [];
for (let at = 0; at < audio.length; at += ${partBytes}) {
  const data = await toFile(audio.subarray(at, at + ${partBytes}), "part");
  part_ids.push((await client.uploads.parts.create(upload.id, { data })).id);
}
const { file } = await client.uploads.complete(upload.id, { part_ids });
${create('file: await toFile(Buffer.alloc(0), "empty")', 'file_id: file.id')}` : create(`file: fs.createReadStream(${text(file.name)})`)}`;
}
