/**
 * One recording from the button to `final_result`: microphone, client and notices in step.
 * `wanted` is the user's last word; everything that is still opening looks at it when it is done.
 */

import { Microphone } from '../clients/web/AsrClient.js';
import { explain, findObstacle } from './checks.js';
import { describeError, t } from './i18n.js';

const STOPPED_BY_SERVER = ['max_duration', 'idle', 'undecodable', 'server_shutdown'];
const NOTICES = ['microphone', 'recording', 'silent', 'interrupted', 'stopped'];

export class Recording {
  wanted = false;
  #microphone = null;
  #parts;

  /** `parts`: `{client, settings, notices, onFrame(samples), onMicrophone(facts)}` */
  constructor(parts) {
    this.#parts = parts;
  }

  async start() {
    const { client, settings, notices, onFrame, onMicrophone } = this.#parts;
    if (this.wanted || client.state.phase === 'finalizing') return;
    notices.clear(...NOTICES);
    const obstacle = findObstacle();
    if (obstacle) return this.#refuse('microphone', () => t(obstacle));
    if (!client.connected) return this.#refuse('recording', () => t('notice_unreachable'));

    this.wanted = true;
    client.prepare();
    try {
      const microphone = await Microphone.open({
        processing: settings.processing,
        compressed: settings.opus,
        onFrame: (frame) => client.send(frame),
        onSamples: onFrame,
        onEnded: () => this.#deviceLost(),
      });
      if (!this.wanted) return this.#giveUp(microphone);
      this.#microphone = microphone;
    } catch (error) {
      this.#giveUp();
      const obstacle = explain(error);
      return this.#refuse('microphone', () => t(obstacle));
    }
    onMicrophone(this.#microphone.describe());
    client.start({ ...settings.recognition, format: this.#microphone.format }).catch((error) => {
      this.#release();
      if (error.code === 'no_answer') this.#refuse('recording', () => t('notice_no_answer'));
      if (error.code === 'unreachable') this.#refuse('recording', () => describeError(error)); // others have been told
    });
  }

  /** The user has finished: everything recorded is sent before the server is told. */
  async stop() {
    if (!this.wanted) return;
    this.wanted = false;
    if (!this.#microphone) return; // still opening; start() will notice
    const microphone = this.#microphone;
    this.#microphone = null;
    await microphone.stop();
    this.#parts.client.stop();
  }

  /** Server events that mean more than text. */
  onEvent({ name, data }) {
    const { notices } = this.#parts;
    if (name === 'recording_stopped' && STOPPED_BY_SERVER.includes(data.reason)) {
      this.#release();
      notices.show('stopped', { tone: 'warning', text: () => t(`stopped_${data.reason}`) });
    }
    if (name === 'error' && data.code !== 'connection_timeout') { // an idle line; it comes back by itself
      const words = { code: data.code, zh: data.message, en: data.message_en };
      notices.show('recording', { tone: data.code === 'overloaded' ? 'info' : 'error', text: () => describeError(words) });
    }
  }

  onInterrupted() {
    this.#release();
    this.#parts.notices.show('interrupted', { tone: 'error', text: () => t('notice_interrupted') });
  }

  #deviceLost() {
    this.#parts.notices.show('microphone', { tone: 'warning', text: () => t('notice_device_lost') });
    this.stop();
  }

  #refuse(id, text) {
    this.#parts.notices.show(id, { tone: 'error', text });
  }

  /** No recording came of it. */
  #giveUp(microphone = null) {
    microphone?.discard();
    this.#release();
    this.#parts.client.cancel();
  }

  /** Closes the microphone without telling the server. */
  #release() {
    this.wanted = false;
    this.#microphone?.discard();
    this.#microphone = null;
  }
}
