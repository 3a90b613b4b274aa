/** The microphone as Opus: pieces in their order, the last one too, and everything closed. As PCM: see tests/web. */

import { made, microphone, newStream } from './browser.mjs';
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { canEncode, Microphone } from '../../clients/web/AsrClient.js';

let recorder;
let supported;

class MediaRecorder {
  static isTypeSupported = (type) => supported.includes(type);
  state = 'inactive';
  constructor(stream, { mimeType }) {
    recorder = this;
    this.mimeType = mimeType;
  }
  start(ms) {
    this.ms = ms;
    this.state = 'recording';
  }
  give(bytes, slowly = 0) {
    const arrayBuffer = async () => {
      for (let turn = 0; turn < slowly; turn += 1) await new Promise((resolve) => { setImmediate(resolve); });
      return new ArrayBuffer(bytes);
    };
    this.ondataavailable({ data: { arrayBuffer } });
  }
  stop() {
    this.state = 'inactive';
    queueMicrotask(() => {
      this.give(7);
      this.onstop?.();
    });
  }
}

beforeEach(() => {
  supported = ['audio/webm;codecs=opus'];
  globalThis.MediaRecorder = MediaRecorder;
  microphone.open = async () => newStream();
  for (const list of Object.values(made)) list.length = 0;
});

test('pieces come in their order, however long each takes to read; empty ones do not', async () => {
  const got = [];
  const one = await Microphone.open({ compressed: true, onFrame: (frame) => got.push(frame.byteLength) });
  assert.deepEqual([one.format, recorder.mimeType, recorder.ms], ['webm', 'audio/webm;codecs=opus', 100]);
  recorder.give(1, 3);
  recorder.give(0);
  recorder.give(2);
  await one.stop();
  assert.deepEqual(got, [1, 2, 7]);
  assert.ok(made.tracks.every(({ stopped }) => stopped));
});

test('Safari records MP4; a browser that cannot encode sends samples', async () => {
  supported = ['audio/mp4'];
  const mp4 = await Microphone.open({ compressed: true, onFrame: () => {} });
  assert.equal(mp4.format, 'mp4');
  mp4.discard();
  supported = [];
  assert.equal(canEncode(), false);
  const plain = await Microphone.open({ compressed: true, onFrame: () => {} });
  assert.equal(plain.format, 's16le');
  plain.discard();
  delete globalThis.MediaRecorder;
  assert.equal(canEncode(), false);
  assert.ok(made.tracks.every(({ stopped }) => stopped) && made.contexts.every(({ closed }) => closed));
});

test('a meter gets samples beside what is encoded, and alone what is not sent', async () => {
  for (const [compressed, sent] of [[true, [5, 7]], [false, [3200, 640]]]) {
    const [frames, samples] = [[], []];
    const one = await Microphone.open({ compressed, onFrame: (frame) => frames.push(frame.byteLength), onSamples: (frame) => samples.push(frame.byteLength) });
    assert.equal(one.describe().contextRate, 16_000);
    made.nodes.at(-1).port.give(new ArrayBuffer(3200));
    if (compressed) recorder.give(5);
    await one.stop();
    assert.deepEqual([frames, samples], [sent, [3200, 640]]);
  }
});

test('a device that goes away has ended the encoder already', async () => {
  const got = [];
  const one = await Microphone.open({ compressed: true, onFrame: (frame) => got.push(frame.byteLength) });
  recorder.stop();
  await new Promise((resolve) => { setImmediate(resolve); });
  await one.stop();
  assert.deepEqual(got, [7]);
});

test('after discard nothing more is given out', async () => {
  const got = [];
  const one = await Microphone.open({ compressed: true, onFrame: (frame) => got.push(frame) });
  recorder.give(1);
  one.discard();
  await new Promise((resolve) => { setImmediate(resolve); });
  assert.deepEqual(got, []);
});
