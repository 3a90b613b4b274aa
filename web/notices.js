/** Messages above the page. Each has an id, stays until cleared or closed, and follows the language. */

import { h } from './dom.js';
import { t } from './i18n.js';

export class Notices {
  #root;
  #shown = new Map();

  constructor(root) {
    this.#root = root;
  }

  /**
   * `tone` is 'info', 'warning' or 'error'; `text()` gives the words in the language of now;
   * `extra()` may add an element; `lasting` ones describe a state and cannot be closed.
   */
  show(id, { tone, text, extra = null, lasting = false }) {
    const known = this.#shown.get(id);
    if (known && known.tone === tone && known.text() === text()) return;
    this.#shown.set(id, { tone, text, extra, lasting });
    this.render();
  }

  clear(...ids) {
    const removed = ids.filter((id) => this.#shown.delete(id));
    if (removed.length > 0) this.render();
  }

  render() {
    const order = { error: 0, warning: 1, info: 2 };
    const sorted = [...this.#shown].sort(([, a], [, b]) => order[a.tone] - order[b.tone]);
    this.#root.replaceChildren(...sorted.map(([id, notice]) => this.#draw(id, notice)));
  }

  #draw(id, { tone, text, extra, lasting }) {
    const box = h('div', { class: 'notice', 'data-tone': tone, 'data-testid': `notice-${id}`, role: tone === 'error' ? 'alert' : null });
    box.append(h('p', {}, text()));
    if (extra) box.append(extra());
    if (!lasting) {
      const close = h('button', { type: 'button', class: 'close', 'aria-label': t('close') }, '×');
      close.addEventListener('click', () => this.clear(id));
      box.append(close);
    }
    return box;
  }
}
