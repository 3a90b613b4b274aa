/**
 * Streaming sample-rate conversion that neither aliases nor drifts: feeding a signal in pieces of
 * any size gives exactly the samples that feeding it whole gives.
 *
 * A polyphase FIR low-pass (Kaiser-windowed sinc). The passband ends at 90 % of the lower Nyquist
 * frequency and the stopband, 80 dB down, begins at Nyquist: 7.2 kHz and 8 kHz when going to 16 kHz.
 */

const STOPBAND_DB = 80;
const PASSBAND = 0.9;

/** Modified Bessel function of the first kind, order 0, by its power series. */
function besselI0(x) {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > sum * 1e-12; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

const gcd = (a, b) => (b === 0 ? a : gcd(b, a % b));

/** One filter per output phase: `phases[p][k]` weighs the input sample `k - half + 1` away. */
function designPhases(inputRate, up, down, half) {
  const lowerNyquist = Math.min(1, up / down) / 2; // cycles per input sample
  const cutoff = (lowerNyquist * (1 + PASSBAND)) / 2;
  const beta = 0.1102 * (STOPBAND_DB - 8.7); // Kaiser 1974, for attenuations above 50 dB
  const scale = besselI0(beta);
  return Array.from({ length: up }, (_, phase) => {
    const taps = new Float32Array(2 * half);
    let sum = 0;
    for (let k = 0; k < taps.length; k += 1) {
      const t = k - half + 1 - phase / up;
      const edge = Math.min(1, Math.abs(t) / half);
      const sinc = t === 0 ? 2 * cutoff : Math.sin(2 * Math.PI * cutoff * t) / (Math.PI * t);
      taps[k] = (sinc * besselI0(beta * Math.sqrt(1 - edge * edge))) / scale;
      sum += taps[k];
    }
    return taps.map((tap) => tap / sum); // every phase passes a constant unchanged
  });
}

export class Resampler {
  /** Rates in Hz, whole numbers. */
  constructor(inputRate, outputRate) {
    const common = gcd(inputRate, outputRate);
    this.up = outputRate / common;
    this.down = inputRate / common;
    if (this.up === this.down) return;
    const transition = (Math.min(1, this.up / this.down) / 2) * (1 - PASSBAND); // cycles per input sample
    this.half = Math.ceil((STOPBAND_DB - 7.95) / (14.36 * transition) / 2);
    this.phases = designPhases(inputRate, this.up, this.down, this.half);
    this.pending = new Float32Array(this.half - 1); // silence before the first sample
    this.position = 0; // of the next output sample, in 1/up input samples after pending[half - 1]
  }

  /** Float32Array in, the output samples that have become computable out. */
  push(input) {
    if (this.up === this.down) return input;
    const samples = new Float32Array(this.pending.length + input.length);
    samples.set(this.pending);
    samples.set(input, this.pending.length);

    const { up, down, half, phases } = this;
    const usable = samples.length - 2 * half; // highest whole position whose taps are all present
    const count = usable < 0 ? 0 : Math.max(0, Math.floor((usable * up + up - 1 - this.position) / down) + 1);
    const output = new Float32Array(count);
    for (let n = 0; n < count; n += 1) {
      const start = Math.floor(this.position / up);
      const taps = phases[this.position % up];
      let sum = 0;
      for (let k = 0; k < taps.length; k += 1) sum += taps[k] * samples[start + k];
      output[n] = sum;
      this.position += down;
    }
    const spent = Math.min(Math.floor(this.position / up), samples.length);
    this.position -= spent * up;
    this.pending = samples.slice(spent);
    return output;
  }

  /** The samples still held back by the filter's length. Call once, at the end. */
  flush() {
    return this.up === this.down ? new Float32Array(0) : this.push(new Float32Array(this.half));
  }
}

/** Float samples in −1…1 to 16-bit integers; what is louder is clipped. */
export function toInt16(samples) {
  return Int16Array.from(samples, (x) => Math.max(-32768, Math.min(32767, Math.round(x * 32768))));
}
