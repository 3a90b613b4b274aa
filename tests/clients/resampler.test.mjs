/** The resampler keeps what it should, removes what would alias, and does not care how it is fed. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Resampler, toInt16 } from '../../clients/web/resampler.js';

const OUT = 16_000;
const tone = (rate, hz, seconds) => Float32Array.from({ length: Math.round(rate * seconds) }, (_, n) => Math.sin((2 * Math.PI * hz * n) / rate));
const db = (ratio) => 20 * Math.log10(ratio);
const rms = (samples) => Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);

function convert(rate, input, sizes = [input.length]) {
  const resampler = new Resampler(rate, OUT);
  const parts = [];
  for (let at = 0, turn = 0; at < input.length; turn += 1) {
    const size = sizes[turn % sizes.length];
    parts.push(resampler.push(input.subarray(at, at + size)));
    at += size;
  }
  parts.push(resampler.flush());
  return Float32Array.from(parts.flatMap((part) => [...part]));
}

const middle = (samples) => samples.subarray(400, samples.length - 400); // away from both ends

for (const rate of [8_000, 22_050, 32_000, 44_100, 48_000, 96_000]) {
  test(`${rate} Hz: a tone in the passband comes out as the same tone at 16 kHz, in step`, () => {
    const hz = 1_000;
    const got = convert(rate, tone(rate, hz, 0.5));
    const want = tone(OUT, hz, 0.5);
    const error = middle(got).map((x, n) => x - want[n + 400]);
    assert.ok(db(rms(error) / rms(want)) < -60, `error ${db(rms(error) / rms(want)).toFixed(1)} dB`);
  });

  test(`${rate} Hz: every sample is accounted for`, () => {
    for (const length of [1, 127, rate / 10, rate]) {
      const expected = Math.ceil((length * OUT) / rate);
      assert.ok(Math.abs(convert(rate, new Float32Array(Math.round(length))).length - expected) <= 1);
    }
  });

  test(`${rate} Hz: pieces of any size give exactly what the whole gives`, () => {
    const input = tone(rate, 700, 0.06).map((x, n) => x * Math.cos(n / 57));
    const whole = convert(rate, input);
    for (const sizes of [[128], [1], [1000, 3, 77]]) assert.deepEqual(convert(rate, input, sizes), whole);
  });
}

for (const rate of [44_100, 48_000, 96_000]) {
  test(`${rate} Hz: what lies above 8 kHz is gone instead of folding back`, () => {
    for (const hz of [8_050, 9_000, 12_000, 15_900, 20_000]) {
      const left = db(rms(middle(convert(rate, tone(rate, hz, 0.5)))) / Math.SQRT1_2);
      assert.ok(left < -70, `${hz} Hz left ${left.toFixed(1)} dB`);
    }
  });

  test(`${rate} Hz: up to 7.2 kHz the level is unchanged`, () => {
    for (const hz of [60, 3_400, 7_100]) {
      const gain = db(rms(middle(convert(rate, tone(rate, hz, 0.5)))) / Math.SQRT1_2);
      assert.ok(Math.abs(gain) < 0.1, `${hz} Hz gained ${gain.toFixed(2)} dB`);
    }
  });
}

test('16 kHz passes through untouched', () => {
  const input = tone(OUT, 440, 0.1);
  assert.deepEqual(convert(OUT, input), input);
});

test('floats become 16-bit integers, loud ones are clipped', () => {
  assert.deepEqual([...toInt16(Float32Array.of(0, 0.5, -0.5, 1, -1, 3, -3))], [0, 16384, -16384, 32767, -32768, 32767, -32768]);
});
