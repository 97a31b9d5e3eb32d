// Transcribes a file with openai-node, by upload or in one request, and prints what came of it as JSON.
import fs from "node:fs";
import path from "node:path";
import OpenAI, { toFile } from "openai";

const PART_BYTES = 4_000_000;
const [baseURL, apiKey, model, file, way] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });

async function upload() {
  const content = fs.readFileSync(file);
  const filename = path.basename(file);
  const created = await client.uploads.create({
    bytes: content.length,
    filename,
    mime_type: "audio/wav",
    purpose: "user_data",
  });
  const pieces = [];
  for (let at = 0; at < content.length; at += PART_BYTES) pieces.push(content.subarray(at, at + PART_BYTES));
  // All at once: parts may arrive in any order.
  const parts = await Promise.all(
    pieces.map(async (piece) => client.uploads.parts.create(created.id, { data: await toFile(piece, "part") })),
  );
  const completed = await client.uploads.complete(created.id, { part_ids: parts.map((part) => part.id) });
  const nothing = await toFile(Buffer.alloc(0), "none.wav");
  const transcription = await client.audio.transcriptions.create({
    model,
    file: nothing,
    file_id: completed.file.id,
  });
  return { status: completed.status, bytes: completed.file.bytes, text: transcription.text };
}

async function single() {
  // A stream is sent chunked, without Content-Length.
  const transcription = await client.audio.transcriptions.create({ model, file: fs.createReadStream(file) });
  return { text: transcription.text };
}

try {
  console.log(JSON.stringify(await (way === "upload" ? upload() : single())));
} catch (error) {
  if (!(error instanceof OpenAI.APIError)) throw error;
  console.log(JSON.stringify({ http: error.status, type: error.type, message: error.message }));
}
