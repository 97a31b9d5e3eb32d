// One call with openai-node, named by the first argument; prints what came of it as JSON.
// BASE_URL, API_KEY, MODEL and SPEECH are in the environment.
import fs from "node:fs";
import OpenAI, { toFile } from "openai";

const { BASE_URL, API_KEY, MODEL, SPEECH } = process.env;
const client = new OpenAI({ baseURL: BASE_URL, apiKey: API_KEY });
const create = (fields, options) => client.audio.transcriptions.create({ model: MODEL, ...fields }, options);
const audio = () => fs.readFileSync(SPEECH);
const open = () => fs.createReadStream(SPEECH);

const calls = {
  file: async () => create({ file: new File([audio()], "speech.wav", { type: "audio/wav" }) }),
  unlabelled: async () => create({ file: new File([audio()], "speech") }),
  stream: async () => create({ file: open() }),
  buffer: async () => create({ file: await toFile(audio(), "speech.wav") }),
  unnamed: async () => create({ file: await toFile(audio()) }),
  response: async () => create({ file: new Response(audio()) }),
  verbose: async () =>
    create({ file: open(), response_format: "verbose_json", timestamp_granularities: ["word", "segment"] }),
  fields: async () => create({ file: open(), language: "en", prompt: "Ørsted", temperature: 0.25, hotwords: "station" }),
  headers: async () => {
    const { data, response } = await create({ file: open() }).withResponse();
    return { text: data.text, provider: response.headers.get("x-provider"), attempts: response.headers.get("x-attempts") };
  },
  list: async () => {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    return ids;
  },
  retrieve: async () => client.models.retrieve(MODEL),
  bad_field: async () => create({ file: open(), temperature: 3 }),
  empty_file: async () => create({ file: await toFile(Buffer.alloc(0), "a.wav") }),
  too_large: async () => create({ file: await toFile(Buffer.alloc(26_214_401), "a.mp3") }),
  not_audio: async () => create({ file: await toFile(Buffer.from("%PDF-1.7"), "a.pdf") }),
  streaming: async () => {
    for await (const _ of await create({ file: open(), stream: true }));
  },
  translation: async () => client.audio.translations.create({ model: MODEL, file: open() }),
};

const seen = ({ constructor, status, type, param, code, requestID, message }) =>
  ({ class: constructor.name, status, type, param, code, requestID, message });
try {
  console.log(JSON.stringify({ result: await calls[process.argv[2]]() }));
} catch (error) {
  console.log(JSON.stringify({ error: seen(error) }));
}
