/** The hotword editor: the server's table as text, saved only over the version it was read from. */

import { getHotwords, putHotwords, reloadHotwords } from './api.js';
import { byId } from './dom.js';
import { format, parse } from './hotword-lines.js';
import { describeError, t } from './i18n.js';

export class HotwordPanel {
  #items = [];
  #version = null; // null until the table has been read
  #saved = '';
  #status = () => '';
  #tone = 'info';

  constructor() {
    byId('hotword-text').addEventListener('input', () => this.#say('info', () => (this.#dirty ? t('hotword_dirty') : '')));
    byId('hotword-save').addEventListener('click', () => this.#save());
    byId('hotword-reload').addEventListener('click', () => this.#reload());
    window.addEventListener('beforeunload', (event) => this.#dirty && event.preventDefault());
  }

  /** Reads the table, unless that would overwrite what somebody is typing. */
  async load() {
    if (this.#dirty) return;
    await this.#attempt(async () => {
      this.#take(await getHotwords());
      return () => '';
    });
  }

  get #dirty() {
    return byId('hotword-text').value !== this.#saved;
  }

  async #reload() {
    if (this.#dirty && !confirm(t('hotword_discard'))) return;
    await this.#attempt(async () => {
      await reloadHotwords();
      this.#take(await getHotwords());
      return () => t('hotword_loaded');
    });
  }

  async #save() {
    const { items, problems } = parse(byId('hotword-text').value, this.#items);
    if (problems.length > 0) {
      this.#say('error', () => problems.map(({ code, ...values }) => t(code, values)).join('\n'));
      return;
    }
    await this.#attempt(async () => {
      await putHotwords(items, this.#version);
      this.#take(await getHotwords());
      return () => t('hotword_saved');
    });
  }

  async #attempt(action) {
    try {
      this.#say('info', await action());
    } catch (error) {
      this.#say('error', error.status === 412 ? () => t('hotword_conflict') : () => describeError(error));
    }
  }

  #take({ items, hotwords, version }) {
    this.#items = items ?? hotwords.map((text) => ({ text }));
    this.#version = version;
    this.#saved = format(this.#items);
    byId('hotword-text').value = this.#saved;
  }

  #say(tone, status) {
    this.#tone = tone;
    this.#status = status;
    this.render();
  }

  render() {
    byId('hotword-save').disabled = !this.#dirty || this.#version === null;
    byId('hotword-count').textContent = this.#version === null ? '' : t('hotword_count', { n: this.#items.length });
    byId('hotword-status').textContent = this.#status();
    byId('hotword-status').dataset.tone = this.#tone;
  }
}
