/** The microphone as WebM/Opus, about an eighth of the bytes of PCM: the browser encodes, the server decodes. */

const TYPE = 'audio/webm;codecs=opus';
const SLICE_MS = 100;
const BITS_PER_SECOND = 32_000; // fullband speech in good quality; PCM takes 256,000

/** Can this browser do it at all? */
export const canEncode = () => Boolean(globalThis.MediaRecorder?.isTypeSupported(TYPE));

export class Encoder {
  #recorder;
  #given = Promise.resolve(); // a slice's bytes arrive later than the slice, and must not overtake one another

  /** Starts at once; `onData(ArrayBuffer)` gets every slice, in order. Throws a DOMException. */
  constructor(stream, onData) {
    this.#recorder = new MediaRecorder(stream, { mimeType: TYPE, audioBitsPerSecond: BITS_PER_SECOND });
    this.#recorder.ondataavailable = ({ data }) => {
      this.#given = this.#given.then(async () => onData(await data.arrayBuffer()));
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
    this.#recorder.ondataavailable = null;
    if (this.#recorder.state !== 'inactive') this.#recorder.stop();
  }
}
