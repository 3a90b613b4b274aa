/**
 * Runs on the audio thread: turns whatever rate the browser records at into 16 kHz int16 frames of
 * 100 ms. Every sample recorded is sent; the last frame, after `flush`, may be shorter.
 */

import { Resampler, toInt16 } from './resampler.js';

const RATE = 16_000;
const FRAME = 1_600;

class PcmProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(Math.round(sampleRate), RATE);
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
    this.open = true;
    this.port.onmessage = () => this.finish();
  }

  process([input]) {
    if (this.open && input.length > 0) this.append(this.resampler.push(input[0]));
    return this.open;
  }

  append(samples) {
    const pcm = toInt16(samples);
    for (let taken = 0; taken < pcm.length; ) {
      const part = pcm.subarray(taken, taken + FRAME - this.filled);
      this.frame.set(part, this.filled);
      this.filled += part.length;
      taken += part.length;
      if (this.filled === FRAME) this.send();
    }
  }

  send() {
    const bytes = this.frame.slice(0, this.filled).buffer;
    this.filled = 0;
    this.port.postMessage(bytes, [bytes]);
  }

  finish() {
    if (!this.open) return;
    this.open = false;
    this.append(this.resampler.flush());
    if (this.filled > 0) this.send();
    this.port.postMessage('done');
  }
}

registerProcessor('pcm', PcmProcessor);
