/**
 * 我们的 Socket.IO 协议。 Our own protocol (WebSocket接口文档.md) as a wire of `AsrClient`: every server event is handed on
 * as it came. Every frame is acknowledged; what is not yet acknowledged is what the server may not have.
 */

import { AsrError } from './errors.js';

const EVENTS = ['recording_started', 'transcription', 'segment_result', 'recording_stopped', 'processing_progress', 'final_result', 'recording_cancelled', 'error'];
const KEPT_MS = 60_000; // the server's XINGJI_KEEP_RESULT_S
const AGAIN_MS = 500;

export class SocketIoWire {
  /** 服务器已收下的毫秒 · milliseconds that the server has accepted */
  acceptedMs = 0;
  #socket;
  #base;
  #key;
  #unacknowledged = [];

  /**
   * @param {{base: URL, io: Function, key: () => string|null, reconnect: boolean, onEvent: (event: {name: string, data: any}) => void,
   *   onLine: (state: string) => void, onRoom: () => void}} parts
   */
  constructor({ base, io, key, reconnect, onEvent, onLine, onRoom }) {
    this.#base = base;
    this.#key = key;
    this.onRoom = onRoom;
    this.#socket = io(base.origin, {
      path: new URL('socket.io/', base).pathname,
      transports: ['websocket', 'polling'], // the second only where a proxy does not let the first through
      tryAllTransports: true,
      auth: (answer) => answer(key() ? { token: key() } : {}),
      autoConnect: false,
      reconnection: reconnect,
      reconnectionDelayMax: 5_000,
    });
    this.#socket.on('connect', () => onLine('online'));
    this.#socket.on('disconnect', () => onLine('offline'));
    this.#socket.on('connect_error', (error) => onLine(error.data?.code === 'unauthorized' ? 'unauthorized' : 'offline'));
    for (const name of EVENTS) this.#socket.on(name, (data) => onEvent({ name, data: data ?? {} }));
  }

  get id() {
    return this.#socket.id ?? null;
  }

  get connected() {
    return this.#socket.connected;
  }

  connect() {
    this.#socket.connect();
  }

  close() {
    this.#socket.disconnect();
  }

  start(options) {
    this.acceptedMs = 0;
    this.#unacknowledged = [];
    this.#socket.emit('start_recording', options);
  }

  /** @param {ArrayBuffer} frame */
  send(frame) {
    const sent = this.#unacknowledged; // an answer to a frame of an older recording must not touch this one's
    sent.push(frame);
    this.#socket.emit('audio_data', frame, (answer) => {
      sent.shift(); // answers come in order
      if (sent !== this.#unacknowledged) return;
      this.acceptedMs = Math.max(this.acceptedMs, answer?.received_ms ?? 0);
      this.onRoom();
    });
  }

  /** Frames that were sent, and that nobody has said to have arrived. */
  get pending() {
    return this.#unacknowledged;
  }

  get pendingBytes() {
    return this.#unacknowledged.reduce((sum, frame) => sum + frame.byteLength, 0);
  }

  stop() {
    this.#socket.emit('stop_recording');
  }

  cancel() {
    this.#socket.emit('cancel_recording');
  }

  /** 断线的录音的结果，服务器保留一分钟。 The final result of a recording whose connection broke; the server keeps it for a minute. */
  async kept(recordingId) {
    const headers = this.#key() ? { Authorization: `Bearer ${this.#key()}` } : {};
    const address = new URL(`api/asr/recordings/${encodeURIComponent(recordingId)}`, this.#base);
    for (const begun = Date.now(); Date.now() - begun < KEPT_MS; ) {
      const answer = await fetch(address, { headers, cache: 'no-store' }).catch(() => null); // null: not reachable yet
      if (answer?.status === 200) return (await answer.json()).data;
      if (answer && answer.status >= 400 && answer.status < 500) throw new AsrError('connection_lost');
      await new Promise((resolve) => { setTimeout(resolve, AGAIN_MS); });
    }
    throw new AsrError('connection_lost');
  }
}
