/**
 * Microphone in, 16 kHz int16 frames of 100 ms out, whatever rate the device or the browser insists on;
 * and beside them, where it is wanted, the same encoded.
 */

import { Encoder } from './encoder.js';

const RATE = 16_000;
const LAST_FRAME_MS = 1_000; // a suspended audio thread never answers

export class Recorder {
  #stream;
  #context;
  #node;
  #encoder;

  constructor(stream, context, node, encoder) {
    this.#stream = stream;
    this.#context = context;
    this.#node = node;
    this.#encoder = encoder;
  }

  /**
   * Asks for the microphone and starts. `onFrame(ArrayBuffer)` gets every frame, `onEncoded(ArrayBuffer)`,
   * if given, every slice of WebM/Opus; `onEnded()` is called when the device goes away. `processing` are the browser's own filters, as constraints. Rejects with a DOMException.
   */
  static async open({ processing, onFrame, onEncoded = null, onEnded }) {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, ...processing } });
    let context;
    try {
      const [graph, source] = await listenTo(stream);
      context = graph;
      await context.audioWorklet.addModule(new URL('pcm-worklet.js', import.meta.url));
      await context.resume();
      const node = new AudioWorkletNode(context, 'pcm', { channelCount: 1, channelCountMode: 'explicit', numberOfInputs: 1, numberOfOutputs: 1 });
      node.port.onmessage = ({ data }) => data instanceof ArrayBuffer && onFrame(data);
      source.connect(node).connect(context.destination); // silent; some browsers only run what leads somewhere
      stream.getAudioTracks()[0].addEventListener('ended', onEnded);
      return new Recorder(stream, context, node, onEncoded && new Encoder(stream, onEncoded));
    } catch (error) {
      release(stream, context);
      throw error;
    }
  }

  /** What the browser really does: its own report on the track, and the rate of our graph. */
  describe() {
    const track = this.#stream.getAudioTracks()[0];
    return { label: track.label, contextRate: this.#context.sampleRate, ...track.getSettings() };
  }

  /** Resolves when the last frame has been given out and the microphone is free. */
  async stop() {
    await this.#encoder?.stop();
    await new Promise((resolve) => {
      const deliver = this.#node.port.onmessage;
      this.#node.port.onmessage = (event) => (event.data === 'done' ? resolve() : deliver(event));
      this.#node.port.postMessage('flush');
      setTimeout(resolve, LAST_FRAME_MS);
    });
    this.discard();
  }

  /** Lets go of the microphone at once; what has not been given out is dropped. */
  discard() {
    this.#encoder?.discard();
    this.#node.port.onmessage = null;
    release(this.#stream, this.#context);
  }
}

/** A context at 16 kHz where the browser converts the microphone's rate itself; else one at its own rate. */
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

function release(stream, context) {
  for (const track of stream.getTracks()) track.stop();
  context?.close();
}
