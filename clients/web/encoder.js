/**
 * 浏览器自己的编码器，约为 PCM 的八分之一。 The microphone as the browser encodes it, about an eighth of the bytes of PCM.
 */

const KINDS = [['webm', 'audio/webm;codecs=opus'], ['mp4', 'audio/mp4']]; // the second is Safari's
const SLICE_MS = 100;
const BITS_PER_SECOND = 32_000; // fullband speech in good quality; PCM takes 256,000

const kind = () => KINDS.find(([, type]) => globalThis.MediaRecorder?.isTypeSupported(type));

/** 这个浏览器会不会 · Can this browser do it at all? */
export const canEncode = () => kind() !== undefined;

export class Encoder {
  #recorder;
  #onData;
  #given = Promise.resolve(); // a slice's bytes arrive later than the slice, and must not overtake one another

  /**
   * Starts at once. Throws a DOMException.
   * @param {MediaStream} stream
   * @param {(slice: ArrayBuffer) => void} onData  every slice, in order
   */
  constructor(stream, onData) {
    const [format, mimeType] = kind();
    this.#onData = onData;
    /** `webm`, `mp4` */
    this.format = format;
    this.#recorder = new MediaRecorder(stream, { mimeType, audioBitsPerSecond: BITS_PER_SECOND });
    this.#recorder.ondataavailable = ({ data }) => {
      this.#given = this.#given.then(async () => {
        const slice = await data.arrayBuffer();
        if (slice.byteLength > 0) this.#onData?.(slice);
      });
    };
    this.#recorder.start(SLICE_MS);
  }

  /** Resolves when the last slice has been given out. */
  async stop() {
    if (this.#recorder.state === 'inactive') return this.#given; // the device has gone away, and it ended by itself
    await new Promise((resolve) => {
      this.#recorder.onstop = resolve;
      this.#recorder.stop();
    });
    return this.#given;
  }

  /** Ends at once; slices that come yet are dropped. */
  discard() {
    this.#onData = null;
    if (this.#recorder.state !== 'inactive') this.#recorder.stop();
  }
}
