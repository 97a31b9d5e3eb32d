import assert from 'node:assert/strict';
import test from 'node:test';

import { explain } from '../../functions/site/playground/errors.js';

const http = (status, more = {}, after = null) => explain({ kind: 'http', status, header: () => after, ...more }, more.online);

test('each error says what to do next', () => {
	assert.equal(http(401)[2], 'key');
	assert.match(http(413)[1], /25 MB/);
	assert.match(http(415)[1], /WAV, MP3/);
	assert.match(http(429, { code: 'rate_limit_exceeded' }, '12')[1], /12 seconds/);
	assert.match(http(429, { code: 'quota_exceeded' }, '3600')[0], /quota/);
	assert.match(http(502, {}, '5')[1], /5 seconds/);
	assert.equal(http(502)[2], 'model');
	assert.equal(http(400, { param: 'language' })[2], 'language');
	assert.match(http(504)[1], /shorter/i);
	assert.equal(explain({ kind: 'network', header: () => null })[2], 'retry');
	assert.equal(explain({ kind: 'cancelled', header: () => null })[0], 'Cancelled');
});

test('a model without a provider leads to those that are online', () => {
	assert.match(http(404, { type: 'no_provider', online: 3 })[1], /shows 3/);
	assert.match(http(404, { type: 'no_provider', online: 0 })[1], /No model is online/);
});
