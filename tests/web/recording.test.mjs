/** From the button to the last frame: nothing lost, nothing left open, whatever goes wrong in between. */

import { made, microphone, newStream, refusedRates } from '../clients/browser.mjs';
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { AsrClient } from '../../clients/web/AsrClient.js';

const { Recording } = await import('../../web/recording.js');

let said; // to the server, in order
let shown; // ids of the notices on the page
let handlers;
let socket;
let client;
let recording;
let settings;
let measured; // frames for the meter

const say = (name, data = {}) => handlers[name](data);
const settle = () => new Promise((resolve) => { setImmediate(resolve); });

function io() {
  handlers = {};
  const emit = (name, payload) => said.push(payload === undefined ? [name] : [name, payload.byteLength ?? payload]);
  socket = { connected: true, on: (name, handler) => { handlers[name] = handler; }, emit };
  return socket;
}

beforeEach(() => {
  said = [];
  shown = new Map();
  microphone.open = async () => newStream();
  refusedRates.clear();
  globalThis.isSecureContext = true;
  for (const list of [made.nodes, made.contexts, made.tracks]) list.length = 0;
  client = new AsrClient({ io, onEvent: (event) => recording.onEvent(event), onInterrupted: () => recording.onInterrupted() });
  settings = { recognition: { language: 'zh' }, processing: { noiseSuppression: false }, opus: false };
  measured = 0;
  recording = new Recording({
    client,
    settings,
    notices: { show: (id, { text }) => shown.set(id, text()), clear: (...ids) => ids.forEach((id) => shown.delete(id)) },
    onFrame: () => { measured += 1; },
    onMicrophone: (facts) => { made.facts = facts; },
  });
});

const phase = () => client.state.phase;
const everythingIsClosed = () => made.tracks.every((track) => track.stopped) && made.contexts.every((context) => context.closed);

async function asked() {
  await recording.start();
  await settle();
}

async function running() {
  await asked();
  say('recording_started', { recording_id: 'r' });
}

test('start, frames, the last short frame, then stop', async () => {
  await running();
  made.nodes[0].port.give(new ArrayBuffer(3200));
  await recording.stop();
  assert.deepEqual(said, [['start_recording', { language: 'zh', format: 's16le' }], ['audio_data', 3200], ['audio_data', 640], ['stop_recording']]);
  assert.equal(phase(), 'finalizing');
  assert.equal(made.constraints.audio.noiseSuppression, false);
  assert.equal(made.facts.contextRate, 16_000);
  assert.ok(everythingIsClosed());
});

test('a compressed recording says so and sends no samples; the meter still gets them', async () => {
  let encoder;
  globalThis.MediaRecorder = class {
    static isTypeSupported = (type) => type === 'audio/webm;codecs=opus';
    constructor() { encoder = this; }
    start() { this.state = 'recording'; }
    give(bytes) { this.ondataavailable({ data: { arrayBuffer: async () => new ArrayBuffer(bytes) } }); }
    stop() {
      this.state = 'inactive';
      queueMicrotask(() => { this.give(9); this.onstop(); });
    }
  };
  settings.opus = true;
  await running();
  made.nodes[0].port.give(new ArrayBuffer(3200));
  encoder.give(7);
  await recording.stop();
  assert.deepEqual(said, [['start_recording', { language: 'zh', format: 'webm' }], ['audio_data', 7], ['audio_data', 9], ['stop_recording']]);
  assert.equal(measured, 2, 'and the last short one');
});

test('a browser that refuses 16 kHz is recorded at its own rate', async () => {
  refusedRates.add(16_000);
  await running();
  assert.equal(made.facts.contextRate, 44_100);
  assert.equal(made.contexts[0].closed, true);
  await recording.stop();
  assert.ok(everythingIsClosed());
});

test('released while the browser still asks for the microphone: nothing is started, nothing stays open', async () => {
  let allow;
  microphone.open = () => new Promise((resolve) => { allow = () => resolve(newStream()); });
  const opening = recording.start();
  await recording.stop();
  allow();
  await opening;
  assert.equal(said.length, 0);
  assert.equal(phase(), 'idle');
  assert.ok(everythingIsClosed());
});

for (const [name, words] of [['NotAllowedError', /没有得到允许/], ['NotFoundError', /没有找到麦克风/], ['NotReadableError', /打不开/], ['TypeError', /没有启动成功/]]) {
  test(`${name} is explained and leaves the page ready`, async () => {
    microphone.open = async () => { throw new DOMException('', name); };
    await recording.start();
    assert.match(shown.get('microphone'), words);
    assert.deepEqual([phase(), recording.wanted], ['idle', false]);
  });
}

test('an insecure page and a missing connection are said before the microphone is asked for', async () => {
  globalThis.isSecureContext = false;
  await recording.start();
  assert.match(shown.get('microphone'), /https/);
  globalThis.isSecureContext = true;
  socket.connected = false;
  await recording.start();
  assert.match(shown.get('recording'), /连不上/);
  assert.equal(made.tracks.length, 0);
});

test('a refused start closes the microphone and shows the words of the server', async () => {
  await asked();
  say('error', { code: 'busy', message: '服务器已满，请稍后再试。' });
  await settle();
  assert.equal(shown.get('recording'), '服务器已满，请稍后再试。');
  assert.deepEqual([phase(), recording.wanted], ['idle', false]);
  assert.ok(everythingIsClosed());
  assert.equal(said.length, 1);
});

test('an idle line that the server closes is no news: it comes back by itself', () => {
  say('error', { code: 'connection_timeout', message: '现在关闭。' });
  assert.equal(shown.size, 0);
});

test('an error in the middle informs and goes on', async () => {
  await running();
  say('error', { code: 'overloaded', message: '识别暂时跟不上。' });
  assert.deepEqual([phase(), recording.wanted, shown.has('recording')], ['recording', true, true]);
  await recording.stop();
});

test('a stop by the server closes the microphone without a second stop', async () => {
  await running();
  const port = made.nodes[0].port;
  say('recording_stopped', { recording_id: 'r', reason: 'max_duration' });
  port.give(new ArrayBuffer(3200)); // was already on its way
  assert.match(shown.get('stopped'), /最长/);
  assert.equal(said.length, 1);
  assert.ok(everythingIsClosed());
});

test('a broken line closes the microphone and says so; an idle page says nothing', async () => {
  say('disconnect');
  assert.equal(shown.size, 0);
  await running();
  globalThis.fetch = async () => ({ status: 404 });
  say('disconnect');
  assert.deepEqual([phase(), shown.has('interrupted'), recording.wanted], ['interrupted', true, false]);
  assert.ok(everythingIsClosed());
});

test('a microphone that goes away ends the recording in good order', async () => {
  await running();
  made.tracks[0].dispatchEvent(new Event('ended'));
  await settle();
  assert.equal(shown.has('microphone'), true);
  assert.deepEqual(said.at(-1), ['stop_recording']);
});

test('no new recording while the last one is being finished', async () => {
  await running();
  await recording.stop();
  await recording.start();
  assert.equal(said.filter(([what]) => what === 'start_recording').length, 1);
});
