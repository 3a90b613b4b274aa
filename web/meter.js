/** The level of the last seconds as a row of bars, and whether the microphone has been dead silent. */

const BARS = 60;
const FLOOR_DB = -54;
const SILENT_DB = -66;
const SILENT_FRAMES = 50; // 5 s of 100 ms

/** Root mean square of an int16 frame, in dB below full scale; −100 for digital silence. */
export function levelDb(frame) {
  const pcm = new Int16Array(frame);
  let sum = 0;
  for (const x of pcm) sum += x * x;
  return sum === 0 ? -100 : 10 * Math.log10(sum / pcm.length / 32768 ** 2);
}

export class Meter {
  #bars;
  #root;
  #silentFrames = 0;

  constructor(root) {
    this.#root = root;
    this.#bars = Array.from({ length: BARS }, () => root.appendChild(document.createElement('i')));
  }

  /** Shows one frame's level. Returns true while nothing has been heard for five seconds. */
  push(frame) {
    const db = levelDb(frame);
    const height = Math.max(0, Math.min(1, 1 - db / FLOOR_DB));
    const oldest = this.#bars.shift();
    oldest.style.setProperty('--level', height.toFixed(3));
    this.#bars.push(this.#root.appendChild(oldest));
    this.#root.setAttribute('aria-valuenow', String(Math.round(height * 100)));
    this.#silentFrames = db < SILENT_DB ? this.#silentFrames + 1 : 0;
    return this.#silentFrames >= SILENT_FRAMES;
  }

  clear() {
    this.#silentFrames = 0;
    for (const bar of this.#bars) bar.style.setProperty('--level', '0');
    this.#root.setAttribute('aria-valuenow', '0');
  }
}
