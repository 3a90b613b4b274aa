/** Slices of the encoder keep their order, the last one is not lost, and the samples are not sent beside them. */

import { made, newStream } from './browser.mjs';
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { EMPTY, reduce } from '../../web/transcript.js';

/** A recorder whose slices take the longer to read the earlier they came. */
class MediaRecorder {
  static isTypeSupported = (type) => type === 'audio/webm;codecs=opus';
  static last;
  state = 'recording';
  #slow = 20;
  constructor(stream, options) {
    MediaRecorder.last = Object.assign(this, { stream, options });
  }
  start(slice) { this.slice = slice; }
  give(bytes) {
    const wait = this.#slow -= 5;
    this.ondataavailable?.({ data: { arrayBuffer: () => new Promise((resolve) => { setTimeout(() => resolve(new ArrayBuffer(bytes)), wait); }) } });
  }
  stop() {
    this.state = 'inactive';
    this.give(9);
    setTimeout(() => this.onstop?.(), 0);
  }
}
globalThis.MediaRecorder = MediaRecorder;

const { canEncode, Encoder } = await import('../../web/encoder.js');
const { Recording } = await import('../../web/recording.js');

beforeEach(() => { made.nodes.length = 0; });

test('slices are given in the order in which they came, the last before stop is over', async () => {
  const given = [];
  const encoder = new Encoder(newStream(), (slice) => given.push(slice.byteLength));
  MediaRecorder.last.give(1);
  MediaRecorder.last.give(2);
  await encoder.stop();
  assert.deepEqual(given, [1, 2, 9]);
});

test('after discarding nothing is given', async () => {
  const given = [];
  const encoder = new Encoder(newStream(), (slice) => given.push(slice.byteLength));
  encoder.discard();
  await new Promise((resolve) => { setTimeout(resolve, 40); });
  assert.deepEqual([given, MediaRecorder.last.state], [[], 'inactive']);
});

test('a device that goes away has ended the encoder already', async () => {
  const given = [];
  const encoder = new Encoder(newStream(), (slice) => given.push(slice.byteLength));
  MediaRecorder.last.stop();
  await encoder.stop();
  assert.deepEqual(given, [9]);
});

test('a compressed recording says so and sends no samples; the meter still gets them', async () => {
  const said = [];
  let state = EMPTY;
  let frames = 0;
  const dispatch = (event) => { state = reduce(state, event); };
  const recording = new Recording({
    session: { connected: true, start: (options) => said.push(options), send: (bytes) => said.push(bytes.byteLength), stop: () => said.push('stop'), forget() {} },
    settings: { recognition: { language: 'zh' }, processing: {}, opus: true },
    notices: { show() {}, clear() {} },
    dispatch,
    phase: () => state.phase,
    onFrame: () => { frames += 1; },
    onMicrophone() {},
  });
  await recording.start();
  recording.onEvent({ name: 'recording_started', data: {} });
  made.nodes[0].port.give(new ArrayBuffer(3200));
  MediaRecorder.last.give(7);
  await recording.stop();
  assert.deepEqual(said, [{ language: 'zh', format: 'webm' }, 7, 9, 'stop']);
  assert.equal(frames, 2, 'and the last short one');
});

test('a browser that cannot encode Opus is not asked to', () => {
  globalThis.MediaRecorder = { isTypeSupported: () => false };
  assert.equal(canEncode(), false);
  delete globalThis.MediaRecorder;
  assert.equal(canEncode(), false);
});
