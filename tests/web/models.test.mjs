/** Who may make the second pass, and who has made it. */

import '../clients/browser.mjs';
import assert from 'node:assert/strict';
import { test } from 'node:test';

const { Models } = await import('../../web/models.js');
const { secondPassBy } = await import('../../web/view.js');

const LISTED = [
  { id: 'paraformer', name: 'Paraformer', role: 'streaming', available: true },
  { id: 'sensevoice', name: 'SenseVoiceSmall', role: 'segment', available: true, default: true },
  { id: 'qwen3-asr-1.7b', name: 'Qwen3-ASR 1.7B', role: 'segment', available: true },
  { id: 'qwen2-audio', name: 'Qwen2-Audio', role: 'segment', available: false },
];

test('only models that can make a second pass here are offered, and all have names', async () => {
  globalThis.fetch = async () => ({ ok: true, json: async () => ({ data: { models: LISTED } }) });
  let offered;
  const models = new Models({ offerModels: (usable) => { offered = usable.map(({ id }) => id); } });
  assert.equal(models.name('sensevoice'), 'sensevoice', 'before the server has told');
  await models.load();
  assert.deepEqual(offered, ['sensevoice', 'qwen3-asr-1.7b']);
  assert.equal(models.name('qwen2-audio'), 'Qwen2-Audio');
  globalThis.fetch = async () => { throw new TypeError(); };
  await models.load();
  assert.equal(models.name('sensevoice'), 'SenseVoiceSmall', 'a server that is gone changes nothing');
});

test('the second pass is whoever read it, whatever the model', () => {
  const read = (...names) => ({ readings: names.map((name) => [name, '好']) });
  assert.deepEqual(secondPassBy([read('paraformer', 'qwen3-asr-1.7b', 'llm'), read('paraformer', 'sensevoice'), read('qwen3-asr-1.7b')]), ['qwen3-asr-1.7b', 'sensevoice']);
  assert.deepEqual(secondPassBy([read('paraformer'), read()]), []);
});
