import assert from 'node:assert/strict';
import test from 'node:test';

import { clock, cues, indexAt, link, rows, srt, vtt } from '../../functions/site/playground/timing.js';

const said = (tokens) => tokens.map(({ text }) => text).join('');

test('words are linked to the text they came from, and punctuation stays', () => {
	const tokens = link('Ask not, my friend.', [
		{ word: 'ask', start: 0, end: 0.2 },
		{ word: ' not', start: 0.2, end: 0.5 },
		{ word: 'friend', start: 0.8, end: 1 },
	]);
	assert.equal(said(tokens), 'Ask not, my friend.');
	assert.deepEqual(tokens[0], { text: 'Ask', start: 0, end: 0.2 });
	assert.deepEqual(tokens.filter(({ start }) => start === undefined).map(({ text }) => text), [' ', ', my ', '.']);
});

test('a word that is not in the text is left unlinked, and the text is still whole', () => {
	const tokens = link('one three', [{ word: 'two', start: 1, end: 2 }, { word: 'three', start: 2, end: 3 }]);
	assert.equal(said(tokens), 'one three');
	assert.equal(tokens.filter(({ start }) => start !== undefined).length, 1);
});

test('a script without spaces is linked as well', () => {
	const tokens = link('你好世界', [{ word: '你好', start: 0, end: 1 }, { word: '世界', start: 1, end: 2 }]);
	assert.deepEqual(tokens.map(({ text }) => text), ['你好', '世界']);
});

test('letters that change their length in lower case do not shift the links', () => {
	const tokens = link('İstanbul calls', [{ word: 'calls', start: 1, end: 2 }]);
	assert.equal(tokens.at(-1).text, 'calls');
});

test('words go to the segment in which they are spoken', () => {
	const found = rows({
		segments: [{ start: 0, end: 1, text: ' a b' }, { start: 1, end: 2, text: ' c' }],
		words: [{ word: 'a', start: 0, end: 0.4 }, { word: 'b', start: 0.4, end: 1.1 }, { word: 'c', start: 1.1, end: 2 }],
	});
	assert.deepEqual(found.map(({ tokens }) => said(tokens)), ['a b', 'c']);
	assert.deepEqual(found[1].tokens, [{ text: 'c', start: 1.1, end: 2 }]);
});

test('a segment without words is clickable as a whole', () => {
	assert.deepEqual(rows({ segments: [{ start: 2, end: 3, text: ' all of it ' }] }), [
		{ start: 2, end: 3, tokens: [{ text: 'all of it', start: 2, end: 3 }] }]);
});

test('words without segments make rows at pauses', () => {
	const found = rows({ text: 'one two', words: [{ word: 'one', start: 0, end: 0.5 }, { word: 'two', start: 3, end: 3.5 }] });
	assert.deepEqual(found.map(({ start, end }) => [start, end]), [[0, 0.5], [3, 3.5]]);
	assert.equal(found.map(({ tokens }) => said(tokens)).join(''), 'one two');
});

test('an answer without timings, or with broken ones, has no rows', () => {
	for (const answer of [{ text: 'plain' }, { text: '' }, { text: 'x', words: null, segments: [] },
		{ text: 'x', words: [null, { word: 'x', start: null, end: null }, { word: 'x', start: '0', end: '1' }, { word: 'x', start: 2, end: 1 }] }]) {
		assert.deepEqual(rows(answer), []);
	}
});

test('SRT numbers its cues and uses commas', () => {
	const text = srt([{ start: 0, end: 1.5, text: 'a --> b' }, { start: 3661.0006, end: 3662, text: 'c' }]);
	assert.equal(text, '1\n00:00:00,000 --> 00:00:01,500\na -> b\n\n2\n01:01:01,001 --> 01:01:02,000\nc\n');
});

test('WebVTT escapes markup', () => {
	assert.equal(vtt([{ start: 59.9996, end: 61, text: '<img> & -->' }]),
		'WEBVTT\n\n00:01:00.000 --> 00:01:01.000\n&lt;img&gt; &amp; --&gt;\n');
});

test('a long row becomes cues of at most two lines and six seconds, cut between words', () => {
	const words = Array.from({ length: 60 }, (_, index) => ({ word: `word${index}`, start: index * 0.5, end: index * 0.5 + 0.4 }));
	const text = words.map(({ word }) => word).join(' ');
	const made = cues(rows({ text, words, segments: [{ start: 0, end: 30, text }] }));
	assert.ok(made.length >= 5);
	for (const cue of made) {
		assert.ok(cue.text.length <= 84, cue.text);
		assert.ok(cue.end - cue.start <= 6);
	}
	assert.equal(made.map((cue) => cue.text).join(' '), text);
	assert.deepEqual([made[0].start, made.at(-1).end], [0, 29.9]);
});

test('a long segment without words stays one cue: no timing is made up', () => {
	assert.equal(cues(rows({ segments: [{ start: 0, end: 30, text: 'x '.repeat(200) }] })).length, 1);
});

test('cues hold no line breaks, which would end them', () => {
	assert.equal(cues([{ start: 0, end: 1, tokens: [{ text: 'a\n\nb', start: 0, end: 1 }] }])[0].text, 'a b');
});

test('the clock shows hours only when there are any', () => {
	assert.deepEqual([0, 59.9, 61, 3599, 3600, 36061].map(clock), ['0:00', '0:59', '1:01', '59:59', '1:00:00', '10:01:01']);
});

test('the word at a time is found by bisection', () => {
	const items = [0, 1, 1, 2].map((start) => ({ start }));
	assert.deepEqual([-1, 0, 0.5, 1, 5].map((at) => indexAt(items, at)), [-1, 0, 0, 2, 3]);
	assert.equal(indexAt([], 1), -1);
});
