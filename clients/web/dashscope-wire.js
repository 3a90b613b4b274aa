/**
 * DashScope 的实时识别协议。 DashScope's realtime recognition (docs/protocols/dashscope.md) as a wire of `AsrClient`: its
 * messages become the words of our own protocol, so that one reducer serves both. One socket carries one task.
 */

import { AsrError } from './errors.js';

const AGAIN_MS = 50; // a WebSocket does not say when its buffer has drained
const FORMATS = { s16le: 'pcm', webm: 'opus', ogg: 'opus' };

export class DashScopeWire {
  acceptedMs = 0;
  #base;
  #key;
  #model;
  #parts;
  #socket = null;
  #open = null; // promise of an open socket
  #task = null; // {id, revisions, language}
  #watch;

  /** @param {{base: URL, key: () => string|null, model?: string, onEvent: Function, onLine: Function, onRoom: Function, WebSocket?: any}} parts */
  constructor({ base, key, model = 'paraformer-realtime-v2', ...parts }) {
    this.#base = base;
    this.#key = key;
    this.#model = model;
    this.#parts = { WebSocket: globalThis.WebSocket, ...parts };
  }

  get id() {
    return this.#task?.id ?? null;
  }

  get connected() {
    return this.#socket?.readyState === 1;
  }

  connect() {
    if (this.#open) return;
    const address = new URL('api-ws/v1/inference', this.#base);
    address.protocol = address.protocol.replace('http', 'ws');
    if (this.#key()) address.searchParams.set('token', this.#key()); // browsers cannot set a header here
    const socket = new this.#parts.WebSocket(address);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.#open = new Promise((resolve) => { socket.onopen = () => resolve(); });
    this.#open.then(() => this.#parts.onLine('online'));
    socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    socket.onclose = () => socket === this.#socket && this.#leave();
  }

  /** The socket is of no use any more, whether or not it is closed already. */
  #leave() {
    this.#socket = this.#open = null;
    this.#over();
    this.#parts.onLine('offline');
  }

  close() {
    this.#socket?.close();
  }

  /** @param {any} options */
  async start({ format = 's16le', sample_rate = 16_000, language, hotwords, ...parameters }) {
    this.acceptedMs = 0;
    const id = Array.from(crypto.getRandomValues(new Uint8Array(16)), (x) => x.toString(16).padStart(2, '0')).join('');
    this.#task = { id, revisions: new Map() };
    try {
      /** @type {any} */
      const asked = { format: FORMATS[format] ?? format, sample_rate, ...parameters };
      if (language && language !== 'auto') asked.language_hints = [language];
      if (hotwords?.length) asked.vocabulary_id = this.#task.vocabulary = await this.#vocabulary({ action: 'create_vocabulary', target_model: this.#model, prefix: 'client', vocabulary: hotwords.map((text) => ({ text, weight: 4 })) });
      this.connect();
      await this.#open;
      this.#say('run-task', { task_group: 'audio', task: 'asr', function: 'recognition', model: this.#model, parameters: asked, input: {} });
      this.#watch = setInterval(() => this.#parts.onRoom(), AGAIN_MS);
    } catch (error) {
      this.#parts.onEvent({ name: 'error', data: { code: error.code ?? 'unreachable', ...error.told } });
    }
  }

  /** A hotword list has to be a vocabulary first; it is deleted with the task. Answers its id. */
  async #vocabulary(input) {
    const headers = { 'Content-Type': 'application/json', ...(this.#key() && { Authorization: `Bearer ${this.#key()}` }) };
    const body = JSON.stringify({ model: 'speech-biasing', parameters: {}, input });
    const answer = await fetch(new URL('api/v1/services/audio/asr/customization', this.#base), { method: 'POST', headers, body });
    const told = await answer.json();
    if (!answer.ok) throw new AsrError(told.code, told);
    return told.output.vocabulary_id;
  }

  /** @param {ArrayBuffer} frame */
  send(frame) {
    this.#socket.send(frame);
  }

  /** What the browser has not given to the network yet cannot be had back. */
  pending = [];

  get pendingBytes() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  stop() {
    this.#say('finish-task', { input: {} });
  }

  /** The protocol has no other way to give up a task. */
  cancel() {
    this.#socket?.close();
    this.#leave();
    this.#parts.onEvent({ name: 'recording_cancelled', data: {} });
  }

  #say(action, payload) {
    this.#socket.send(JSON.stringify({ header: { action, task_id: this.#task.id, streaming: 'duplex' }, payload }));
  }

  #over() {
    clearInterval(this.#watch);
    if (this.#task?.vocabulary) this.#vocabulary({ action: 'delete_vocabulary', vocabulary_id: this.#task.vocabulary }).catch(() => {}); // it stays as a table without a user
    this.#task = null;
  }

  #hear({ header, payload }) {
    if (header.task_id !== this.#task?.id && header.event !== 'task-failed') return;
    const tell = (name, data) => this.#parts.onEvent({ name, data: { recording_id: header.task_id, ...data } });
    switch (header.event) {
      case 'task-started':
        tell('recording_started', {});
        break;
      case 'result-generated':
        if (!payload.output.sentence.heartbeat) tell('transcription', this.#transcription(payload.output.sentence));
        break;
      case 'task-finished':
        this.#over(); // first: whoever hears the result may begin the next
        tell('final_result', { duration_ms: (payload.usage?.duration ?? 0) * 1_000 });
        break;
      case 'task-failed': // nothing can follow
        this.#parts.onEvent({ name: 'error', data: { code: header.error_code, message: header.error_message, fatal: true } });
        this.#leave(); // the server closes it
        break;
      default: // what is not known is not for us
    }
  }

  #transcription({ sentence_id: id, text, begin_time, end_time, sentence_end }) {
    const revision = (this.#task.revisions.get(id) ?? 0) + 1;
    this.#task.revisions.set(id, revision);
    const stage = sentence_end ? 'second_pass' : 'partial';
    return {
      sentence: { id, revision, stage, text, start_ms: begin_time, end_ms: end_time, settled: sentence_end },
      is_speech_active: !sentence_end,
      current_time_ms: end_time ?? begin_time,
    };
  }

  async kept() {
    throw new AsrError('connection_lost'); // the server has given the task up
  }
}
