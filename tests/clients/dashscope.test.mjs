/** DashScope's messages in the words of our own protocol, both ways. */

import './browser.mjs';
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { AsrClient } from '../../clients/web/AsrClient.js';

let sockets;
let told;
let client;

const settle = () => new Promise((resolve) => { setImmediate(resolve); });

class Socket {
  sent = [];
  readyState = 0;
  bufferedAmount = 0;
  constructor(address) {
    this.address = String(address);
    sockets.push(this);
  }
  send(data) { this.sent.push(typeof data === 'string' ? JSON.parse(data) : data.byteLength); }
  open() {
    this.readyState = 1;
    this.onopen();
  }
  close() {
    this.readyState = 3;
    this.onclose();
  }
  say(event, payload = {}, more = {}) {
    this.onmessage({ data: JSON.stringify({ header: { task_id: this.task, event, attributes: {}, ...more }, payload }) });
  }
  get task() { return this.sent.find((message) => message.header).header.task_id; }
}

const sentence = (id, text, end = null) => ({ output: { sentence: { sentence_id: id, begin_time: 100, end_time: end, text, sentence_begin: false, sentence_end: end !== null, heartbeat: false, words: [] } }, usage: null });

beforeEach(() => {
  [sockets, told] = [[], []];
  globalThis.WebSocket = Socket;
  const note = (name) => (value) => told.push([name, value]);
  client = new AsrClient({ url: 'https://host/asr/', protocol: 'dashscope', apiKey: 'key', onPartial: note('partial'), onFinal: note('final'), onDropped: note('dropped'), onError: note('error'), onInterrupted: note('interrupted') });
});

async function running(options = {}) {
  const starting = client.start(options);
  sockets.at(-1).open();
  await settle();
  sockets.at(-1).say('task-started');
  await starting;
  return sockets.at(-1);
}

test('one task', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const socket = await running({ language: 'zh', max_sentence_silence: 500 });
  assert.equal(socket.address, 'wss://host/asr/api-ws/v1/inference?token=key');
  const [{ header, payload }] = socket.sent;
  assert.deepEqual([header.action, header.streaming, payload.model], ['run-task', 'duplex', 'paraformer-realtime-v2']);
  assert.deepEqual(payload.parameters, { format: 'pcm', sample_rate: 16_000, max_sentence_silence: 500, language_hints: ['zh'] });
  client.send(new ArrayBuffer(3200));
  const result = client.stop();
  assert.deepEqual(socket.sent.slice(1), [3200, { header: { action: 'finish-task', task_id: socket.task, streaming: 'duplex' }, payload: { input: {} } }]);
  socket.say('result-generated', sentence(1, '订'));
  socket.say('result-generated', { output: { sentence: { sentence_id: 0, heartbeat: true, text: '' } } });
  socket.say('result-generated', sentence(1, '订单。', 900));
  socket.say('result-generated', sentence(2, '嗯'));
  socket.say('result-generated', sentence(2, '', 1500));
  socket.say('result-generated', sentence(3, '好的', null));
  socket.say('result-generated', sentence(3, '好的。', 2500));
  socket.say('task-finished', { output: {}, usage: { duration: 3 } });
  const { text, sentences, durationMs, recordingId } = await result;
  assert.deepEqual([text, durationMs, recordingId], ['订单。好的。', 3000, socket.task]);
  assert.deepEqual(sentences.map(({ id, revision, stage, settled, startMs, endMs }) => [id, revision, stage, settled, startMs, endMs]), [[1, 2, 'second_pass', true, 100, 900], [3, 2, 'second_pass', true, 100, 2500]]);
  assert.deepEqual(told.map(([name, { id, text: words }]) => [name, id, words]), [['partial', 1, '订'], ['final', 1, '订单。'], ['partial', 2, '嗯'], ['dropped', 2, ''], ['partial', 3, '好的'], ['final', 3, '好的。']]);
});

test('the next task on the same socket, or on a new one where it was closed', async () => {
  const first = await running();
  client.stop();
  first.say('task-finished', { output: {} });
  const again = client.start();
  await settle();
  assert.equal(first.sent.filter((message) => message.header?.action === 'run-task').length, 2);
  const { task_id: id } = first.sent.at(-1).header;
  first.onmessage({ data: JSON.stringify({ header: { task_id: id, event: 'task-started' }, payload: {} }) });
  assert.equal(await again, id);
  client.cancel();
  assert.equal(first.readyState, 3, 'there is no other way to give a task up');
  assert.equal(client.state.phase, 'idle');
  await running();
  assert.equal(sockets.length, 2);
  client.cancel();
});

test('what the browser cannot pass on yet waits', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const socket = await running();
  socket.bufferedAmount = 1 << 20;
  let handed = false;
  client.send(new ArrayBuffer(2)).then(() => { handed = true; });
  await settle();
  assert.deepEqual([handed, client.backlog], [false, (1 << 20) + 2]);
  socket.bufferedAmount = 0;
  t.mock.timers.tick(50);
  await settle();
  assert.equal(handed, true);
});

test('containers have their name there; hotwords become a vocabulary and go with the task', async () => {
  const asked = [];
  globalThis.fetch = async (address, { body, headers }) => {
    asked.push([String(address), JSON.parse(body).input, headers.Authorization]);
    return { ok: true, json: async () => ({ output: { vocabulary_id: 'vocab-1' } }) };
  };
  const starting = client.start({ format: 'webm', hotwords: ['林滔'] });
  sockets[0].open();
  await settle();
  await settle();
  assert.deepEqual(sockets[0].sent[0].payload.parameters, { format: 'opus', sample_rate: 16_000, vocabulary_id: 'vocab-1' });
  sockets[0].say('task-started');
  await starting;
  client.cancel();
  const again = client.start({ hotwords: ['林滔'] });
  sockets[1].open();
  await settle();
  await settle();
  sockets[1].close();
  await assert.rejects(again, { code: 'connection_lost' });
  assert.deepEqual(asked.map(([, { action }]) => action), ['create_vocabulary', 'delete_vocabulary', 'create_vocabulary', 'delete_vocabulary']);
  const [[address, created, key], [, deleted]] = asked;
  assert.deepEqual([address, key], ['https://host/asr/api/v1/services/audio/asr/customization', 'Bearer key']);
  assert.deepEqual(created, { action: 'create_vocabulary', target_model: 'paraformer-realtime-v2', prefix: 'client', vocabulary: [{ text: '林滔', weight: 4 }] });
  assert.deepEqual(deleted, { action: 'delete_vocabulary', vocabulary_id: 'vocab-1' });
});

test('a task that fails, at once and in the middle', async () => {
  const failure = { error_code: 'ModelNotFound', error_message: '没有这个模型。 Model not found.' };
  const starting = client.start();
  sockets[0].open();
  await settle();
  sockets[0].say('task-failed', {}, failure);
  sockets[0].close();
  await assert.rejects(starting, { code: 'ModelNotFound', message: failure.error_message });
  assert.equal(client.state.phase, 'idle');
  const again = client.start(); // whether or not the old socket is closed already
  sockets.at(-1).open();
  await settle();
  sockets.at(-1).say('task-failed', {}, failure);
  await assert.rejects(again, { code: 'ModelNotFound' });
  const socket = await running();
  socket.say('task-failed', {}, { error_code: 'CLIENT_ERROR', error_message: 'timeout' });
  socket.close();
  await assert.rejects(client.stop(), { code: 'CLIENT_ERROR' });
  assert.deepEqual([client.state.phase, told.map(([name]) => name)], ['interrupted', ['error', 'error', 'error']]);
});

test('a socket that breaks ends the task: the server keeps nothing', async () => {
  const socket = await running();
  socket.say('result-generated', sentence(1, '留下'));
  socket.close();
  await assert.rejects(client.stop(), { code: 'connection_lost' });
  assert.deepEqual([client.state.phase, client.state.fullText], ['interrupted', '留下']);
  assert.equal(told.at(-1)[0], 'interrupted');
});
