/**
 * 星纪 ASR 的浏览器客户端，没有依赖，无需构建。 A browser client of 星纪 ASR, without dependencies or a build step.
 *
 *     import { AsrClient } from './AsrClient.js';
 *     import { io } from 'socket.io-client';                     // Socket.IO 协议才需要 · only for that protocol
 *
 *     const client = new AsrClient({ url: 'http://127.0.0.1:5006', io, onPartial: (s) => show(s), onFinal: (s) => keep(s) });
 *     await client.start({ language: 'zh', hotwords: ['林滔'] });
 *     const microphone = await Microphone.open({ onFrame: (frame) => client.send(frame) });
 *     …
 *     await microphone.stop();
 *     const { text, sentences } = await client.stop();
 *
 * Text is kept right by `reduce` (transcript.js), which can be used without any of this.
 */

import { DashScopeWire } from './dashscope-wire.js';
import { AsrError } from './errors.js';
import { SocketIoWire } from './socketio-wire.js';
import { EMPTY, isBusy, reduce } from './transcript.js';

export { decode, play } from './audio-file.js';
export { canEncode } from './encoder.js';
export { AsrError } from './errors.js';
export { Microphone } from './microphone.js';
export { EMPTY, isBusy, join, pieces, reduce } from './transcript.js';

const ANSWER_MS = 10_000; // within which a start must be answered
const IN_FLIGHT = 256 * 1024; // bytes on the way; 8 s of PCM
const WIRES = { socketio: SocketIoWire, dashscope: DashScopeWire };

/**
 * @typedef {import('./transcript.js').Sentence} Sentence
 * @typedef {import('./transcript.js').Transcript} Transcript
 *
 * @typedef {Object} Options
 * @property {string} [url]  服务器地址，缺省是本页所在 · the server's address, else the page's
 * @property {'socketio'|'dashscope'} [protocol]
 * @property {Function} [io]  socket.io-client 的 `io`
 * @property {string|(() => string|null)} [apiKey]  API 密钥，服务器要的话 · where the server asks for one
 * @property {boolean} [reconnect]  断线后自动重连，缺省 true · for Socket.IO
 * @property {string} [model]  DashScope 的模型名 · DashScope's model name
 * @property {(state: 'connecting'|'online'|'offline'|'unauthorized') => void} [onConnection]
 * @property {(sentence: Sentence) => void} [onPartial]  一句有了新文本，还会变 · new text of a sentence that may still change
 * @property {(sentence: Sentence) => void} [onFinal]  一句定稿，每句一次 · once for each sentence, when it is settled
 * @property {(sentence: Sentence) => void} [onDropped]  一句撤掉了：不是语音 · it was no speech
 * @property {(state: Transcript) => void} [onState]  任何变化之后 · after every change
 * @property {(event: {name: string, data: any}) => void} [onEvent]  服务器的每个事件，原样 · every server event, as it came
 * @property {(result: Result) => void} [onResult]
 * @property {(error: AsrError) => void} [onError]
 * @property {(interruption: Interruption) => void} [onInterrupted]
 *
 * @typedef {{text: string, sentences: Sentence[], durationMs: number, recordingId: string|null, interrupted: boolean, raw: any}} Result
 *
 * 录音中断线。服务器确认收到 `acceptedMs`；`pending` 是还没有确认的音频，可以放进下一次录音。
 * The connection broke while recording. The server has said that it has `acceptedMs`; `pending` is the audio beyond
 * that, for the next recording, or for the same one once a server can resume it.
 * @typedef {{recordingId: string|null, acceptedMs: number, pending: ArrayBuffer[]}} Interruption
 */

export class AsrClient {
  /** @type {Transcript} 现在的文本 · the transcript of now */
  state = EMPTY;
  #wire;
  #hooks;
  #waiting = []; // for the connection
  #recording = null;
  #ended = refused(new AsrError('no_session')); // the last recording's result

  /** @param {Options} [options] */
  constructor({ url, protocol = 'socketio', io, apiKey, reconnect = true, model, ...hooks } = {}) {
    const base = new URL(url ?? document.baseURI);
    if (!base.pathname.endsWith('/') && url) base.pathname += '/';
    const key = typeof apiKey === 'function' ? apiKey : () => apiKey ?? null;
    this.#hooks = hooks;
    const heard = { onEvent: (event) => this.#hear(event), onLine: (line) => this.#onLine(line), onRoom: () => this.#pump() };
    this.#wire = new WIRES[protocol]({ base, io, key, reconnect, model, ...heard });
  }

  get connected() {
    return this.#wire.connected;
  }

  /** 连接的编号 · Socket.IO's id of the connection */
  get id() {
    return this.#wire.id;
  }

  /** 还没有确认送达的字节：大了就慢一点发。 Bytes that have not arrived yet; where it grows, send more slowly. */
  get backlog() {
    return this.#wire.pendingBytes + (this.#recording?.queue ?? []).reduce((sum, { frame }) => sum + frame.byteLength, 0);
  }

  /** Resolves once connected; rejects with `unauthorized` or `unreachable`, though with `reconnect` it goes on trying. */
  async connect() {
    if (this.connected) return;
    const done = deferred();
    this.#waiting.push(done);
    this.#hooks.onConnection?.('connecting');
    this.#wire.connect();
    await done.promise;
  }

  /** 马上重连，用现在的密钥 · Connects again at once, with the API key of now. */
  reconnect() {
    this.#wire.close();
    this.#wire.connect();
  }

  close() {
    this.#wire.close();
  }

  /** A recording is about to begin: the phase is `starting` while, say, the microphone opens. Frames may be given already. */
  prepare() {
    if (isBusy(this.state)) throw new AsrError('already_recording');
    if (this.#recording) this.#end(new AsrError('connection_lost')); // whose result is still being fetched
    this.#recording = { queue: [], listening: false, stopping: false, asked: false, started: deferred(), ended: deferred() };
    this.#ended = this.#recording.ended.promise;
    this.#apply({ name: 'starting' });
  }

  /**
   * 开始录音；`options` 同 start_recording。 Begins a recording; connects where that has not been done.
   * `language`, `hotwords`, `format`, `sample_rate` mean the same in both protocols; anything else is the protocol's own.
   * @returns {Promise<string>} the recording's id; rejects with the server's AsrError
   */
  async start(options = {}) {
    if (this.state.phase !== 'starting') this.prepare();
    const recording = this.#recording;
    try {
      await this.connect();
      if (recording !== this.#recording) throw new AsrError('no_session'); // cancelled meanwhile
      recording.asked = true;
      recording.timer = setTimeout(() => recording.started.reject(new AsrError('no_answer')), ANSWER_MS);
      this.#wire.start(options);
      return await recording.started.promise;
    } catch (error) {
      if (recording === this.#recording) this.#giveUp(error.code === 'no_answer');
      throw error;
    } finally {
      clearTimeout(recording.timer);
    }
  }

  /**
   * 一段音频。可以不等返回：排着队，一个也不丢。 A piece of audio. Nobody has to wait for it: frames queue and none is
   * dropped. Resolves when it has been handed over, which is when more is welcome; rejects where it never will be.
   * @param {ArrayBuffer|Int16Array|Uint8Array} data
   * @returns {Promise<void>}
   */
  send(data) {
    const recording = this.#recording;
    if (!recording || recording.stopping) return refused(new AsrError('no_session'));
    const frame = data instanceof ArrayBuffer ? data : data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
    const done = deferred();
    recording.queue.push({ frame, done });
    this.#pump();
    return done.promise;
  }

  /**
   * 停止，等最终结果。 No more audio; what waits is sent first. Where the recording is over already, because the server
   * ended it or the connection broke, this is its result, or why there is none.
   * @returns {Promise<Result>}
   */
  stop() {
    const recording = this.#recording;
    if (recording && !recording.stopping) {
      recording.stopping = true;
      this.#pump();
      this.#apply({ name: 'stopping' });
    }
    return this.#ended;
  }

  /** 放弃录音，没有结果 · Gives the recording up; there will be no result. */
  cancel() {
    if (this.#recording) this.#giveUp(this.#recording.asked && this.connected);
  }

  #giveUp(telling) {
    this.#end(new AsrError('no_session'));
    if (telling) this.#wire.cancel();
    this.#apply({ name: 'cancelled' });
  }

  // -- what comes in -----------------------------------------------------------------------

  #hear(event) {
    const { name, data } = event;
    this.#hooks.onEvent?.(event);
    if (name === 'error') return this.#fail(new AsrError(data.code, data));
    this.#apply(event);
    const recording = this.#recording;
    if (!recording || (data.recording_id && data.recording_id !== this.state.recordingId)) return undefined;
    if (name === 'recording_started') {
      recording.listening = true;
      if (recording.stopping) this.#apply({ name: 'stopping' });
      recording.started.resolve(this.state.recordingId);
      this.#pump();
    }
    if (name === 'recording_stopped' && recording.listening) { // by the server: nothing more is taken
      recording.stopping = true;
      recording.listening = false;
      release(recording, new AsrError('no_session'));
    }
    if (name === 'final_result') this.#finish(data, false);
    return undefined;
  }

  #finish(raw, interrupted) {
    const { fullText: text, sentences, timeMs: durationMs, recordingId } = this.state;
    const result = { text, sentences, durationMs, recordingId, interrupted, raw };
    this.#recording.ended.resolve(result);
    this.#end(new AsrError('no_session'));
    this.#hooks.onResult?.(result);
  }

  #fail(error) {
    const recording = this.#recording;
    this.#hooks.onError?.(error);
    if (recording && this.state.phase === 'starting') {
      recording.asked = false; // it is answered
      recording.started.reject(error);
    } else if (recording && error.fatal) {
      this.#end(error);
      this.#apply({ name: 'connection_lost' });
    }
  }

  #onLine(line) {
    this.#hooks.onConnection?.(line);
    for (const done of this.#waiting.splice(0)) {
      if (line === 'online') done.resolve();
      else done.reject(new AsrError(line === 'unauthorized' ? line : 'unreachable'));
    }
    if (line === 'offline' && this.#recording?.asked && isBusy(this.state)) this.#interrupted(this.#recording);
  }

  #interrupted(recording) {
    const { recordingId } = this.state;
    const error = new AsrError('connection_lost');
    const pending = [...this.#wire.pending, ...recording.queue.map(({ frame }) => frame)];
    recording.started.reject(error);
    recording.stopping = true;
    recording.listening = false;
    release(recording, error);
    this.#apply({ name: 'connection_lost' });
    this.#hooks.onInterrupted?.({ recordingId, acceptedMs: this.#wire.acceptedMs, pending });
    if (recordingId === null) return this.#end(error);
    return this.#wire.kept(recordingId).then(
      (data) => {
        if (recording !== this.#recording) return; // another one has begun
        this.#apply({ name: 'final_result', data });
        this.#finish(data, true);
      },
      (failed) => recording === this.#recording && this.#end(failed),
    );
  }

  /** The recording is over; whoever still waits for it is told `error`. */
  #end(error) {
    const recording = this.#recording;
    this.#recording = null;
    release(recording, error);
    recording.started.reject(error);
    recording.ended.reject(error);
  }

  /** Hands over as many frames as may be on the way, then the stop. */
  #pump() {
    const recording = this.#recording;
    if (!recording?.listening) return;
    while (recording.queue.length > 0 && this.#wire.pendingBytes < IN_FLIGHT) {
      const { frame, done } = recording.queue.shift();
      this.#wire.send(frame);
      done.resolve();
    }
    if (recording.stopping && recording.queue.length === 0) {
      recording.listening = false;
      this.#wire.stop();
    }
  }

  #apply(event) {
    const before = this.state;
    this.state = reduce(before, event);
    if (this.state === before) return;
    const known = new Map([...before.sentences, ...before.dropped].map((one) => [one.id, one]));
    for (const one of this.state.sentences) {
      const was = known.get(one.id);
      if (one.settled && !was?.settled) this.#hooks.onFinal?.(one);
      else if (!one.settled && one !== was) this.#hooks.onPartial?.(one);
    }
    for (const one of this.state.dropped) if (known.get(one.id) !== one) this.#hooks.onDropped?.(one);
    this.#hooks.onState?.(this.state);
  }
}

/** Frames that will not be sent: whoever waits for them is told why. */
function release(recording, error) {
  for (const { done } of recording.queue.splice(0)) done.reject(error);
}

/** A promise with its ends. That nobody may wait for it is no fault. */
function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  made.promise.catch(() => {});
  return made;
}

function refused(error) {
  const { promise, reject } = deferred();
  reject(error);
  return promise;
}
