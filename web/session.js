/**
 * Our Socket.IO protocol as a browser needs it. One socket, one recording at a time; every server
 * event goes to `onEvent({name, data})` and the state of the line to `onConnection`.
 */

import { io } from './vendor/socket.io.esm.min.js';
import { apiKey } from './access.js';

const EVENTS = ['recording_started', 'transcription', 'segment_result', 'recording_stopped', 'processing_progress', 'final_result', 'recording_cancelled', 'error'];

export class Session {
  #socket;
  #held = []; // frames recorded before the server said that it listens
  #listening = false;
  #stopWaits = false;

  /** `onConnection(state)`: 'connecting', 'online', 'offline' or 'unauthorized'. `connect` is socket.io's, or a test's. */
  constructor({ onEvent, onConnection, connect = io }) {
    this.#socket = connect({
      path: new URL('socket.io/', document.baseURI).pathname,
      transports: ['websocket', 'polling'], // the second only where a proxy does not let the first through
      tryAllTransports: true,
      auth: (answer) => answer(apiKey() ? { token: apiKey() } : {}),
      reconnectionDelayMax: 5_000,
    });
    this.#socket.on('connect', () => onConnection('online'));
    this.#socket.on('disconnect', () => onConnection('offline'));
    this.#socket.on('connect_error', (error) => onConnection(error.data?.code === 'unauthorized' ? 'unauthorized' : 'offline'));
    for (const name of EVENTS) {
      this.#socket.on(name, (data) => {
        if (name === 'recording_started') this.#release();
        onEvent({ name, data: data ?? {} });
      });
    }
    onConnection('connecting');
  }

  get connected() {
    return this.#socket.connected;
  }

  get id() {
    return this.#socket.id;
  }

  /** Tries again at once, with the API key of now. */
  reconnect() {
    this.#socket.disconnect().connect();
  }

  start(options) {
    this.#socket.emit('start_recording', options);
  }

  /** One frame of int16 PCM, or slice of WebM, as an ArrayBuffer. Frames given before the server is ready wait for it. */
  send(frame) {
    if (this.#listening) this.#socket.emit('audio_data', frame);
    else this.#held.push(frame);
  }

  /** After the last frame. Waits its turn if the server has not answered the start yet. */
  stop() {
    if (this.#listening) this.#emitStop();
    else this.#stopWaits = true;
  }

  /** Drops what was held back for a recording that will not be. */
  forget() {
    this.#held = [];
    this.#listening = false;
    this.#stopWaits = false;
  }

  #release() {
    this.#listening = true;
    for (const frame of this.#held.splice(0)) this.#socket.emit('audio_data', frame);
    if (this.#stopWaits) this.#emitStop();
  }

  #emitStop() {
    this.forget();
    this.#socket.emit('stop_recording');
  }
}
