/** The worklet's frames are 100 ms of 16 kHz int16, whatever the browser's rate, and nothing is lost at the end. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

let Processor;
globalThis.AudioWorkletProcessor = class {
  constructor() {
    this.port = { sent: [], postMessage(message) { this.sent.push(message); } };
  }
};
globalThis.registerProcessor = (name, made) => {
  assert.equal(name, 'pcm');
  Processor = made;
};
await import('../../clients/web/pcm-worklet.js');

function record(rate, seconds) {
  globalThis.sampleRate = rate;
  const processor = new Processor();
  const blocks = Math.floor((rate * seconds) / 128);
  for (let n = 0; n < blocks; n += 1) assert.equal(processor.process([[new Float32Array(128).fill(0.25)]]), true);
  processor.port.onmessage({ data: 'flush' });
  return { processor, sent: processor.port.sent, recordedMs: (blocks * 128 * 1000) / rate };
}

for (const rate of [16_000, 44_100, 48_000]) {
  test(`${rate} Hz in, full frames out, then the rest, then done`, () => {
    const { sent, recordedMs } = record(rate, 1.05);
    assert.equal(sent.at(-1), 'done');
    const frames = sent.slice(0, -1);
    for (const frame of frames.slice(0, -1)) assert.equal(frame.byteLength, 3200);
    const bytes = frames.reduce((sum, frame) => sum + frame.byteLength, 0);
    assert.ok(Math.abs(bytes / 32 - recordedMs) < 0.2, `${bytes / 32} ms of ${recordedMs}`);
    assert.ok(new Int16Array(frames[1]).every((x) => Math.abs(x - 8192) <= 1));
  });
}

test('after the flush nothing more is taken, and the node may go', () => {
  const { processor, sent } = record(16_000, 0.2);
  const before = sent.length;
  assert.equal(processor.process([[new Float32Array(128)]]), false);
  processor.port.onmessage({ data: 'flush' });
  assert.equal(sent.length, before);
});

test('an input that is not connected yet adds nothing', () => {
  globalThis.sampleRate = 16_000;
  const processor = new Processor();
  assert.equal(processor.process([[]]), true);
  processor.port.onmessage({ data: 'flush' });
  assert.deepEqual(processor.port.sent, ['done']);
});
