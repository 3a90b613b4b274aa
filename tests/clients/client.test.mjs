/** The client over a line that answers as the server does: order, back-pressure, callbacks, errors, a line that breaks. */

import './browser.mjs';
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { AsrClient, AsrError } from '../../clients/web/AsrClient.js';

const ID = 'rec_1';
const frame = (bytes = 3200) => new ArrayBuffer(bytes);
const settle = () => new Promise((resolve) => { setImmediate(resolve); });

let handlers;
let sent; // [event, payload], in order
let acks; // of the frames
let told; // calls of the callbacks
let client;
let socket;

const say = (name, data) => handlers[name](data);
const names = () => sent.map(([name]) => name);

function io(address, options) {
  handlers = {};
  socket = {
    address, options, connected: false, id: 'sid',
    on: (name, handler) => { handlers[name] = handler; },
    connect: () => { socket.dialled = true; },
    disconnect: () => { socket.connected = false; say('disconnect'); return socket; },
    emit: (name, payload, ack) => { sent.push([name, payload]); if (ack) acks.push(ack); },
  };
  return socket;
}

function online() {
  socket.connected = true;
  say('connect');
}

function make(options = {}) {
  const note = (name) => (value) => told.push([name, value]);
  client = new AsrClient({
    io, url: 'http://host:5006/asr', apiKey: 'secret', onConnection: note('connection'), onPartial: note('partial'), onFinal: note('final'),
    onDropped: note('dropped'), onResult: note('result'), onError: note('error'), onInterrupted: note('interrupted'), ...options,
  });
  return client;
}

beforeEach(() => {
  [sent, acks, told] = [[], [], []];
  make();
});

async function running() {
  const starting = client.start({ language: 'zh' });
  online();
  await settle();
  say('recording_started', { recording_id: ID });
  return starting;
}

const sentence = (id, revision, stage, text, more = {}) => ({ recording_id: ID, sentence: { id, revision, stage, text, start_ms: 0, ...more } });
const toldOf = (wanted) => told.filter(([name]) => name === wanted).map(([, value]) => value);

test('websocket first, below the address, with the API key', () => {
  assert.equal(socket.address, 'http://host:5006');
  assert.equal(socket.options.path, '/asr/socket.io/');
  assert.equal(socket.options.transports[0], 'websocket');
  socket.options.auth((answer) => assert.deepEqual(answer, { token: 'secret' }));
  make({ url: undefined });
  assert.equal(socket.options.path, '/asr/socket.io/', 'the page lies there too');
});

test('it connects by itself; frames wait for recording_started and keep their order; stop is last', async () => {
  client.prepare();
  client.send(frame(1));
  const starting = client.start({ llm: false });
  assert.equal(socket.dialled, true);
  online();
  await settle();
  client.send(new Int16Array(1));
  assert.deepEqual(sent, [['start_recording', { llm: false }]]);
  say('recording_started', { recording_id: ID });
  assert.equal(await starting, ID);
  client.send(new Uint8Array(4).subarray(1));
  client.stop();
  assert.deepEqual(names().slice(1), ['audio_data', 'audio_data', 'audio_data', 'stop_recording']);
  assert.deepEqual(sent.slice(1, 4).map(([, data]) => data.byteLength), [1, 2, 3]);
  assert.equal(client.state.phase, 'finalizing');
});

test('a stop before the server has answered waits for its turn', async () => {
  client.start();
  online();
  await settle();
  client.send(frame());
  client.stop();
  assert.deepEqual(names(), ['start_recording']);
  say('recording_started', { recording_id: ID });
  assert.deepEqual(names().slice(1), ['audio_data', 'stop_recording']);
  assert.equal(client.state.phase, 'finalizing');
});

test('only so much is on the way; the rest waits for acknowledgements and none is lost', async () => {
  await running();
  const handed = Array.from({ length: 12 }, () => client.send(frame(64 * 1024)));
  const result = client.stop();
  assert.equal(names().filter((name) => name === 'audio_data').length, 4);
  assert.equal(client.backlog, 12 * 64 * 1024);
  await handed[3];
  let fifth = false;
  handed[4].then(() => { fifth = true; });
  await settle();
  assert.equal(fifth, false);
  while (acks.length > 0) acks.shift()({ ok: true, received_ms: 100 });
  await Promise.all(handed);
  assert.equal(names().filter((name) => name === 'audio_data').length, 12);
  assert.deepEqual(names().at(-1), 'stop_recording');
  assert.equal(client.backlog, 0);
  say('final_result', { recording_id: ID, llm_merged: '好。', sentences: [], duration_ms: 5 });
  assert.equal((await result).text, '好。');
});

test('partial texts, one final for each sentence, a sentence that goes, the result', async () => {
  await running();
  const result = client.stop();
  say('transcription', sentence(1, 1, 'partial', '好'));
  say('transcription', sentence(2, 1, 'partial', '嗯'));
  say('transcription', sentence(2, 2, 'partial', ''));
  say('segment_result', sentence(1, 2, 'second_pass', '好的。'));
  for (let times = 0; times < 2; times += 1) say('segment_result', sentence(1, 2, 'second_pass', '好的。', { settled: true }));
  say('transcription', sentence(3, 1, 'streamed', '完'));
  const listed = [{ id: 1, revision: 2, text: '好的。' }, { id: 3, revision: 2, text: '完了。' }];
  say('final_result', { recording_id: ID, llm_merged: '好的。完了。', sentences: listed, duration_ms: 900 });
  assert.deepEqual(toldOf('partial').map(({ text }) => text), ['好', '嗯', '好的。', '完']);
  assert.deepEqual(toldOf('final').map(({ id, text }) => [id, text]), [[1, '好的。'], [3, '完了。']]);
  assert.deepEqual(toldOf('dropped').map(({ id }) => id), [2]);
  const { text, durationMs, recordingId, interrupted, sentences } = await result;
  assert.deepEqual([text, durationMs, recordingId, interrupted, sentences.length], ['好的。完了。', 900, ID, false, 2]);
  assert.equal(await client.stop(), await result, 'asking again gives the same');
});

test('a start that is refused rejects with the words of the server, and the next is a fresh one', async () => {
  const starting = client.start();
  online();
  await settle();
  const waiting = client.send(frame());
  say('error', { code: 'busy', message: '服务器已满。', message_en: 'full', retryable: true, retry_after_ms: 900 });
  await assert.rejects(starting, (error) => error instanceof AsrError && error.code === 'busy' && error.zh === '服务器已满。' && error.en === 'full' && error.retryable && error.told.retry_after_ms === 900);
  await assert.rejects(waiting, { code: 'no_session' });
  assert.deepEqual([client.state.phase, names()], ['idle', ['start_recording']]);
  assert.equal(toldOf('error').length, 1);
  const again = client.start();
  await settle();
  say('recording_started', { recording_id: ID });
  await again;
  assert.deepEqual(names(), ['start_recording', 'start_recording'], 'nothing of the old one');
});

test('nobody answers: rejected, and the server is told to forget it', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const starting = client.start();
  online();
  await settle();
  t.mock.timers.tick(10_000);
  await assert.rejects(starting, { code: 'no_answer', retryable: true });
  assert.deepEqual(names(), ['start_recording', 'cancel_recording']);
});

test('no connection, or the wrong key', async () => {
  for (const [error, code] of [[new Error('refused'), 'unreachable'], [{ data: { code: 'unauthorized' } }, 'unauthorized']]) {
    const starting = client.start();
    say('connect_error', error);
    await assert.rejects(starting, { code });
    assert.equal(client.state.phase, 'idle');
  }
  assert.deepEqual(toldOf('connection'), ['connecting', 'offline', 'connecting', 'unauthorized']);
});

test('an error in the middle informs and goes on', async () => {
  await running();
  say('error', { code: 'overloaded', message: '排队', retryable: true });
  assert.deepEqual([toldOf('error')[0].code, client.state.phase], ['overloaded', 'recording']);
});

test('a stop by the server: what waits is refused, the result comes', async () => {
  await running();
  const handed = Array.from({ length: 6 }, () => client.send(frame(64 * 1024)));
  say('recording_stopped', { recording_id: ID, reason: 'max_duration' });
  await assert.rejects(handed[5], { code: 'no_session' });
  await assert.rejects(client.send(frame()), { code: 'no_session' });
  say('final_result', { recording_id: ID, llm_merged: '到此', sentences: [] });
  assert.equal((await client.stop()).text, '到此');
  assert.equal(names().includes('stop_recording'), false);
});

test('a stop by the server while frames wait for the stop of the user', async () => {
  await running();
  const handed = Array.from({ length: 6 }, () => client.send(frame(64 * 1024)));
  const result = client.stop();
  say('recording_stopped', { recording_id: ID, reason: 'max_duration' });
  await assert.rejects(handed[5], { code: 'no_session' });
  while (acks.length > 0) acks.shift()({ ok: true, received_ms: 100 });
  assert.equal(names().filter((name) => name !== 'audio_data').length, 1, 'neither more audio nor a stop');
  say('final_result', { recording_id: ID, llm_merged: '到此', sentences: [] });
  assert.equal((await result).text, '到此');
});

test('whoever begins anew does not wait for the kept result', async () => {
  await running();
  const result = client.stop();
  globalThis.fetch = () => new Promise(() => {});
  socket.connected = false;
  say('disconnect');
  client.prepare();
  await assert.rejects(result, { code: 'connection_lost' });
  assert.equal(client.state.phase, 'starting');
});

test('a line that breaks: what has not arrived is handed over, and the kept result is fetched', async () => {
  await running();
  for (const size of [2, 4, 6]) client.send(frame(size));
  acks.shift()({ ok: true, received_ms: 700 });
  const waiting = Array.from({ length: 5 }, () => client.send(frame(64 * 1024)));
  const result = client.stop();
  const answers = [[202, { data: { state: 'running' } }], [200, { data: { recording_id: ID, llm_merged: '断线之前', sentences: [], duration_ms: 700 } }]];
  const asked = [];
  globalThis.fetch = async (address, { headers }) => {
    asked.push([String(address), headers.Authorization]);
    const [status, body] = answers.shift();
    return { status, json: async () => body };
  };
  socket.connected = false;
  say('disconnect');
  await assert.rejects(waiting[4], { code: 'connection_lost' });
  const [{ recordingId, acceptedMs, pending }] = toldOf('interrupted');
  assert.deepEqual([recordingId, acceptedMs, pending.map(({ byteLength }) => byteLength)], [ID, 700, [4, 6, ...Array(5).fill(64 * 1024)]]);
  assert.equal(client.state.phase, 'interrupted');
  const { text, interrupted } = await result;
  assert.deepEqual([text, interrupted, client.state.phase], ['断线之前', true, 'done']);
  assert.deepEqual(asked[0], [`http://host:5006/asr/api/asr/recordings/${ID}`, 'Bearer secret']);
});

test('a line that breaks, and the result is gone', async () => {
  await running();
  globalThis.fetch = async () => ({ status: 404 });
  say('disconnect');
  await assert.rejects(client.stop(), { code: 'connection_lost', retryable: true });
});

test('cancel: told to the server, and nobody waits for ever', async () => {
  await running();
  const result = client.stop();
  client.cancel();
  await assert.rejects(result, { code: 'no_session' });
  say('recording_cancelled', { recording_id: ID });
  assert.equal(client.state.phase, 'idle');
  assert.equal(names().at(-1), 'cancel_recording');
});

test('one recording at a time', async () => {
  await running();
  await assert.rejects(client.start(), { code: 'already_recording' });
  assert.equal(client.state.phase, 'recording');
});
