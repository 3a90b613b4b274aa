/** Just enough of a browser for the modules that talk to one: audio graph, microphone, addresses, timers. */

globalThis.location = { hash: '', pathname: '/', search: '' };
const stored = new Map();
Object.defineProperty(globalThis, 'localStorage', { // Node has one of its own, which warns
  value: { getItem: (key) => stored.get(key) ?? null, setItem: (key, value) => stored.set(key, value), clear: () => stored.clear() },
});
globalThis.document = { baseURI: 'http://localhost/asr/' };

export const made = { nodes: [], contexts: [], tracks: [] };

class Track extends EventTarget {
  label = 'test microphone';
  stopped = false;
  getSettings = () => ({ sampleRate: 48_000 });
  stop() { this.stopped = true; }
}

/** What `getUserMedia` does next; a test may replace it. */
export const microphone = { open: async () => newStream() };

export function newStream() {
  const track = new Track();
  made.tracks.push(track);
  return { getTracks: () => [track], getAudioTracks: () => [track] };
}

/** Rates that this browser refuses to join to the microphone, as Firefox does. */
export const refusedRates = new Set();

class AudioContext {
  audioWorklet = { addModule: async () => {} };
  closed = false;
  destination = {};
  constructor({ sampleRate = 44_100 } = {}) {
    this.sampleRate = sampleRate;
    made.contexts.push(this);
  }
  createMediaStreamSource() {
    if (refusedRates.has(this.sampleRate)) throw new DOMException('rates differ', 'NotSupportedError');
    return { connect: (node) => node };
  }
  async resume() {}
  async close() { this.closed = true; }
}

class AudioWorkletNode {
  constructor() {
    this.port = {
      onmessage: null,
      give: (data) => this.port.onmessage?.({ data }),
      postMessage: () => queueMicrotask(() => { // the worklet's answer to a flush
        this.port.give(new ArrayBuffer(640));
        this.port.give('done');
      }),
    };
    made.nodes.push(this);
  }
  connect() {}
}

const mediaDevices = { getUserMedia: (constraints) => { made.constraints = constraints; return microphone.open(); } };
Object.defineProperty(globalThis, 'navigator', { value: { mediaDevices }, configurable: true });
Object.assign(globalThis, { AudioContext, AudioWorkletNode, isSecureContext: true, window: globalThis });
