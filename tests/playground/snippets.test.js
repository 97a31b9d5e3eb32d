import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';

import { curl, node, python } from '../../functions/site/playground/snippets.js';

const AWKWARD = `it's "50%"; $HOME \`id\` \\ ü.wav`;
const call = {
	base: 'https://x.example/prod',
	model: 'pocketsphinx/en-us',
	language: '',
	prompt: '',
	timed: false,
	file: { name: 'talk.mp3', type: 'audio/mpeg', size: 10 },
	uploaded: false,
	partBytes: 4_000_000,
};
const awkward = { ...call, language: 'en', prompt: `@file <b>; it's $HOME "x"\nnext`, timed: true, file: { name: AWKWARD, type: 'audio/wav', size: 10 } };

// What curl would be called with, as the shell sees it.
function argumentsOf(script) {
	const folder = mkdtempSync(join(tmpdir(), 'snippet-'));
	try {
		writeFileSync(join(folder, 'curl'), `#!/bin/sh\nprintf '%s\\0' "$@"\n`);
		chmodSync(join(folder, 'curl'), 0o755);
		const printed = execFileSync('sh', ['-c', script], { env: { PATH: `${folder}:${process.env.PATH}`, HOME: '/elsewhere' }, encoding: 'utf8' });
		return printed.split('\0').slice(0, -1);
	} finally {
		rmSync(folder, { recursive: true });
	}
}

test('curl sends the fields that were sent', () => {
	assert.deepEqual(argumentsOf(curl(call)), ['https://x.example/prod/v1/audio/transcriptions',
		'-H', 'Authorization: Bearer YOUR_API_KEY', '-F', 'model=pocketsphinx/en-us', '-F', 'file=@talk.mp3;type=audio/mpeg']);
});

test('curl survives what a shell and -F would read as their own', () => {
	const got = argumentsOf(curl(awkward));
	assert.ok(got.includes(`prompt=${awkward.prompt}`));
	assert.equal(got[got.indexOf(`prompt=${awkward.prompt}`) - 1], '--form-string');
	assert.ok(got.includes(`file=@"${AWKWARD.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}";type=audio/wav`));
	assert.deepEqual(got.filter((each) => each.startsWith('timestamp')), ['timestamp_granularities[]=word', 'timestamp_granularities[]=segment']);
});

test('an upload is shell that parses', () => {
	const script = curl({ ...awkward, uploaded: true });
	assert.equal(spawnSync('sh', ['-n'], { input: script }).status, 0);
	assert.match(script, /split -b 4000000/);
	assert.match(script, /-F "file_id=\$file_id"$/);
});

test('Node code parses, as a module', () => {
	const folder = mkdtempSync(join(tmpdir(), 'snippet-'));
	try {
		for (const uploaded of [false, true]) {
			const path = join(folder, `${uploaded}.mjs`);
			writeFileSync(path, node({ ...awkward, uploaded }));
			assert.equal(spawnSync(process.execPath, ['--check', path]).status, 0);
		}
	} finally {
		rmSync(folder, { recursive: true });
	}
});

test('Python code is laid out as a person would', () => {
	assert.equal(python({ ...call, timed: true }), `from openai import OpenAI

client = OpenAI(base_url="https://x.example/prod/v1", api_key="YOUR_API_KEY")
result = client.audio.transcriptions.create(
    file=open("talk.mp3", "rb"),
    model="pocketsphinx/en-us",
    response_format="verbose_json",
    timestamp_granularities=["word", "segment"],
)
print(result.text)`);
	assert.match(python({ ...call, uploaded: true }), /upload_file_chunked/);
});

test('no snippet holds a key', () => {
	for (const write of [curl, python, node]) assert.match(write(call), /YOUR_API_KEY/);
});
