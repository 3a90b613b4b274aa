/** The API key: from the address or the form, kept, and shown with requests and to Socket.IO. */

import '../clients/browser.mjs';
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

let loaded = 0;
const replaced = [];
globalThis.history = { replaceState: (...args) => replaced.push(args[2]) };

/** The module as a page loads it that was opened with `hash`. */
function load(hash) {
  globalThis.location = { hash, pathname: '/asr/', search: '?a=1' };
  return import(`../../web/access.js?${loaded += 1}`);
}

beforeEach(() => localStorage.clear());

test('without a key nothing is sent', async () => {
  const { apiKey, authHeaders } = await load('');
  assert.equal(apiKey(), null);
  assert.deepEqual(authHeaders(), {});
});

test('a key in the address is kept for later visits and leaves the address', async () => {
  const { authHeaders } = await load('#token=from-address');
  assert.deepEqual(authHeaders(), { Authorization: 'Bearer from-address' });
  assert.equal(replaced.at(-1), '/asr/?a=1');
  assert.equal((await load('')).apiKey(), 'from-address');
});

test('a key from the form takes the place of the one before', async () => {
  const { apiKey, setApiKey } = await load('#token=old');
  setApiKey('new');
  assert.equal(apiKey(), 'new');
});
