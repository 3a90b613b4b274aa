/**
 * One recording from the button to `final_result`: microphone, session and transcript in step.
 * `wanted` is the user's last word; everything that is still opening looks at it when it is done.
 */

import { explain, findObstacle } from './checks.js';
import { describeError, t } from './i18n.js';
import { Recorder } from './recorder.js';

const ANSWER_MS = 10_000;
const STOPPED_BY_SERVER = ['max_duration', 'idle', 'undecodable', 'server_shutdown'];
const NOTICES = ['microphone', 'recording', 'silent', 'interrupted', 'stopped'];

export class Recording {
  wanted = false;
  #recorder = null;
  #deadline;
  #parts;

  /** `parts`: `{session, settings, notices, dispatch(event), phase(), onFrame(frame), onMicrophone(facts)}` */
  constructor(parts) {
    this.#parts = parts;
  }

  async start() {
    const { session, settings, notices, dispatch, phase, onFrame, onMicrophone } = this.#parts;
    if (this.wanted || phase() === 'finalizing') return;
    notices.clear(...NOTICES);
    const obstacle = findObstacle();
    if (obstacle) return this.#refuse('microphone', () => t(obstacle));
    if (!session.connected) return this.#refuse('recording', () => t('notice_unreachable'));

    const encoded = settings.opus;
    this.wanted = true;
    dispatch({ name: 'starting' });
    try {
      const recorder = await Recorder.open({
        processing: settings.processing,
        onFrame: (frame) => {
          if (!encoded) session.send(frame);
          onFrame(frame);
        },
        onEncoded: encoded ? (slice) => session.send(slice) : null,
        onEnded: () => this.#deviceLost(),
      });
      if (!this.wanted) return this.#giveUp(recorder);
      this.#recorder = recorder;
    } catch (error) {
      this.#giveUp();
      const obstacle = explain(error);
      return this.#refuse('microphone', () => t(obstacle));
    }
    onMicrophone(this.#recorder.describe());
    session.start({ ...settings.recognition, ...(encoded && { format: 'webm' }) });
    this.#deadline = setTimeout(() => {
      this.#giveUp();
      this.#refuse('recording', () => t('notice_no_answer'));
    }, ANSWER_MS);
  }

  /** The user has finished: everything recorded is sent before the server is told. */
  async stop() {
    if (!this.wanted) return;
    this.wanted = false;
    if (!this.#recorder) return; // still opening; start() will notice
    const recorder = this.#recorder;
    this.#recorder = null;
    await recorder.stop();
    this.#parts.session.stop();
    this.#parts.dispatch({ name: 'stopping' });
  }

  /** Server events that mean more than text. */
  onEvent({ name, data }) {
    const { notices, phase } = this.#parts;
    if (name === 'recording_started') clearTimeout(this.#deadline);
    if (name === 'recording_stopped' && STOPPED_BY_SERVER.includes(data.reason)) {
      this.#release();
      notices.show('stopped', { tone: 'warning', text: () => t(`stopped_${data.reason}`) });
    }
    if (name === 'error' && data.code !== 'connection_timeout') { // an idle line; it comes back by itself
      if (phase() === 'starting') this.#giveUp();
      const words = { code: data.code, zh: data.message, en: data.message_en };
      notices.show('recording', { tone: data.code === 'overloaded' ? 'info' : 'error', text: () => describeError(words) });
    }
  }

  onConnectionLost() {
    const { notices, dispatch, phase } = this.#parts;
    if (!['starting', 'recording', 'finalizing'].includes(phase())) return;
    this.#release();
    dispatch({ name: 'connection_lost' });
    notices.show('interrupted', { tone: 'error', text: () => t('notice_interrupted') });
  }

  #deviceLost() {
    this.#parts.notices.show('microphone', { tone: 'warning', text: () => t('notice_device_lost') });
    this.stop();
  }

  #refuse(id, text) {
    this.#parts.notices.show(id, { tone: 'error', text });
  }

  /** No recording came of it. */
  #giveUp(recorder = null) {
    recorder?.discard();
    this.#release();
    this.#parts.dispatch({ name: 'cancelled' });
  }

  /** Closes the microphone without telling the server. */
  #release() {
    this.wanted = false;
    clearTimeout(this.#deadline);
    this.#parts.session.forget();
    this.#recorder?.discard();
    this.#recorder = null;
  }
}
