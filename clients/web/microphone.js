/**
 * 麦克风：16 kHz 16 位单声道，每包 100 毫秒；或 Opus，省九成带宽。 Microphone in, 16 kHz int16 frames of 100 ms out,
 * whatever rate the device or the browser insists on; or, to save bandwidth, what the browser's own encoder makes of it.
 */

const RATE = 16_000;
const FRAME_MS = 100;
const LAST_FRAME_MS = 1_000; // a suspended audio thread never answers
const COMPRESSED = [['webm', 'audio/webm;codecs=opus'], ['mp4', 'audio/mp4']]; // the second is Safari's

export class Microphone {
  /** @type {string} 给 `start` 的 `format`：`s16le`、`webm` 或 `mp4` · what to start a recording with */
  format;
  #stream;
  #source;

  constructor(stream, source, format) {
    this.#stream = stream;
    this.#source = source;
    this.format = format;
  }

  /**
   * 请求麦克风并开始。 Asks for the microphone and starts. Rejects with a DOMException.
   * @param {Object} wishes
   * @param {(frame: ArrayBuffer) => void} wishes.onFrame  每一包，按顺序 · every frame, in order
   * @param {() => void} [wishes.onEnded]  设备没了 · the device went away
   * @param {MediaTrackConstraints} [wishes.processing]  浏览器自己的降噪等 · the browser's own filters
   * @param {boolean} [wishes.compressed]  用 MediaRecorder 的 Opus；浏览器不会就是 s16le · Opus, where the browser can
   * @returns {Promise<Microphone>}
   */
  static async open({ onFrame, onEnded = () => {}, processing = {}, compressed = false }) {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, ...processing } });
    const [format, type] = (compressed && COMPRESSED.find(([, kind]) => globalThis.MediaRecorder?.isTypeSupported(kind))) || ['s16le'];
    try {
      const source = type ? new Encoded(stream, type, onFrame) : await Samples.of(stream, onFrame);
      stream.getAudioTracks()[0].addEventListener('ended', onEnded);
      return new Microphone(stream, source, format);
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      throw error;
    }
  }

  /** 浏览器实际做了什么。 What the browser really does: its own report on the track, and the rate of our graph. */
  describe() {
    const track = this.#stream.getAudioTracks()[0];
    return { label: track.label, contextRate: this.#source.rate, ...track.getSettings() };
  }

  /** 交出最后一包、释放麦克风后返回。 Resolves when the last frame has been given out and the microphone is free. */
  async stop() {
    await this.#source.finish();
    this.discard();
  }

  /** 立即释放，没交出的不要了。 Lets go of the microphone at once; what has not been given out is dropped. */
  discard() {
    this.#source.drop();
    for (const track of this.#stream.getTracks()) track.stop();
  }
}

/** Int16 samples from an AudioWorklet. */
class Samples {
  #context;
  #node;

  constructor(context, node) {
    this.#context = context;
    this.#node = node;
  }

  static async of(stream, onFrame) {
    const [context, source] = await listenTo(stream);
    try {
      await context.audioWorklet.addModule(new URL('pcm-worklet.js', import.meta.url));
      await context.resume();
      const node = new AudioWorkletNode(context, 'pcm', { channelCount: 1, channelCountMode: 'explicit', numberOfInputs: 1, numberOfOutputs: 1 });
      node.port.onmessage = ({ data }) => data instanceof ArrayBuffer && onFrame(data);
      source.connect(node).connect(context.destination); // silent; some browsers only run what leads somewhere
      return new Samples(context, node);
    } catch (error) {
      context.close();
      throw error;
    }
  }

  get rate() {
    return this.#context.sampleRate;
  }

  async finish() {
    await new Promise((resolve) => {
      const deliver = this.#node.port.onmessage;
      this.#node.port.onmessage = (event) => (event.data === 'done' ? resolve() : deliver(event));
      this.#node.port.postMessage('flush');
      setTimeout(resolve, LAST_FRAME_MS);
    });
  }

  drop() {
    this.#node.port.onmessage = null;
    this.#context.close();
  }
}

/**
 * A context at 16 kHz where the browser converts the microphone's rate itself; else one at its own rate.
 * @returns {Promise<[AudioContext, MediaStreamAudioSourceNode]>}
 */
async function listenTo(stream) {
  let context;
  try {
    context = new AudioContext({ sampleRate: RATE, latencyHint: 'interactive' });
    return [context, context.createMediaStreamSource(stream)];
  } catch (error) {
    if (error.name !== 'NotSupportedError') throw error;
    await context?.close(); // Firefox does not join a stream to a context of another rate
    const native = new AudioContext({ latencyHint: 'interactive' });
    return [native, native.createMediaStreamSource(stream)];
  }
}

/** A container from MediaRecorder, in pieces. */
class Encoded {
  #recorder;
  #onFrame;
  #given = Promise.resolve(); // blobs are read one after another, so that their order stays

  constructor(stream, mimeType, onFrame) {
    this.#onFrame = onFrame;
    this.#recorder = new MediaRecorder(stream, { mimeType });
    this.#recorder.ondataavailable = ({ data }) => {
      this.#given = this.#given.then(async () => {
        const frame = await data.arrayBuffer();
        if (frame.byteLength > 0) this.#onFrame?.(frame);
      });
    };
    this.#recorder.start(FRAME_MS);
  }

  async finish() {
    if (this.#recorder.state === 'inactive') return this.#given;
    await new Promise((resolve) => {
      this.#recorder.onstop = resolve; // after the last piece
      this.#recorder.stop();
    });
    return this.#given;
  }

  drop() {
    this.#onFrame = null;
    if (this.#recorder.state !== 'inactive') this.#recorder.stop();
  }
}
