/**
 * 麦克风：16 kHz 16 位单声道，每包 100 毫秒；或浏览器压缩好的 Opus。 Microphone in, 16 kHz int16 frames of 100 ms out,
 * whatever rate the device or the browser insists on; or, to save bandwidth, what the browser's own encoder makes of it.
 */

import { canEncode, Encoder } from './encoder.js';

const RATE = 16_000;
const LAST_FRAME_MS = 1_000; // a suspended audio thread never answers

export class Microphone {
  #stream;
  #samples;
  #encoder;

  constructor(stream, samples, encoder) {
    this.#stream = stream;
    this.#samples = samples;
    this.#encoder = encoder;
  }

  /**
   * 请求麦克风并开始。 Asks for the microphone and starts. Rejects with a DOMException.
   * @param {Object} wishes
   * @param {(frame: ArrayBuffer) => void} wishes.onFrame  要发送的每一包，按顺序 · all that is to be sent, in order
   * @param {(samples: ArrayBuffer) => void} [wishes.onSamples]  每 100 毫秒的采样，压缩与否都有，如画音量 · samples in either case, for a meter say
   * @param {() => void} [wishes.onEnded]  设备没了 · the device went away
   * @param {MediaTrackConstraints} [wishes.processing]  浏览器自己的降噪等 · the browser's own filters
   * @param {boolean} [wishes.compressed]  用浏览器的 Opus；浏览器不会就是采样 · Opus, where the browser can
   * @returns {Promise<Microphone>}
   */
  static async open({ onFrame, onSamples, onEnded = () => {}, processing = {}, compressed = false }) {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, ...processing } });
    const encoding = compressed && canEncode();
    const listeners = [...(encoding ? [] : [onFrame]), ...(onSamples ? [onSamples] : [])];
    let samples = null;
    try {
      if (listeners.length > 0) samples = await Samples.of(stream, (frame) => listeners.forEach((listener) => listener(frame)));
      const encoder = encoding ? new Encoder(stream, onFrame) : null;
      stream.getAudioTracks()[0].addEventListener('ended', onEnded);
      return new Microphone(stream, samples, encoder);
    } catch (error) {
      samples?.discard();
      for (const track of stream.getTracks()) track.stop();
      throw error;
    }
  }

  /** 给 `start` 的 `format`：`s16le`、`webm` 或 `mp4` · what to start a recording with */
  get format() {
    return this.#encoder?.format ?? 's16le';
  }

  /** 浏览器实际做了什么。 What the browser really does: its own report on the track, and the rate of our graph. */
  describe() {
    const track = this.#stream.getAudioTracks()[0];
    return { label: track.label, contextRate: this.#samples?.rate, ...track.getSettings() };
  }

  /** 交出最后一包、释放麦克风后返回。 Resolves when the last frame has been given out and the microphone is free. */
  async stop() {
    await this.#encoder?.stop();
    await this.#samples?.stop();
    this.discard();
  }

  /** 立即释放，没交出的不要了。 Lets go of the microphone at once; what has not been given out is dropped. */
  discard() {
    this.#encoder?.discard();
    this.#samples?.discard();
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

  async stop() {
    await new Promise((resolve) => {
      const deliver = this.#node.port.onmessage;
      this.#node.port.onmessage = (event) => (event.data === 'done' ? resolve() : deliver(event));
      this.#node.port.postMessage('flush');
      setTimeout(resolve, LAST_FRAME_MS);
    });
  }

  discard() {
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
