/** What the server says about itself, asked now and then: loading, its warnings, where text goes. */

import { getHealth } from './api.js';
import { byId, setText } from './dom.js';
import { pick, t } from './i18n.js';

const CALM_MS = 30_000;
const WAITING_MS = 3_000;

export class HealthWatch {
  #health = null;
  #timer;
  #settings;
  #notices;
  #warned = [];

  constructor(settings, notices) {
    this.#settings = settings;
    this.#notices = notices;
  }

  async check() {
    clearTimeout(this.#timer);
    this.#health = await getHealth().catch(() => null);
    this.#settings.offerLlm(Boolean(this.#health?.llm?.configured));
    this.render();
    this.#timer = setTimeout(() => this.check(), this.#health?.models_loaded ? CALM_MS : WAITING_MS);
  }

  render() {
    const health = this.#health;
    const llm = health?.llm;
    const notice = (id, wanted, tone, text) => (wanted ? this.#notices.show(id, { tone, text, lasting: true }) : this.#notices.clear(id));
    notice('loading', health && !health.models_loaded, 'info', () => t('notice_loading'));
    this.#warn(health?.warnings ?? []);
    notice('llm', llm?.external && this.#settings.llm, 'info', () => t('notice_llm', { host: llm.host, model: llm.model }));

    const hint = health && !llm?.configured ? 'llm_not_configured' : llm?.configured && llm.reachable === false ? 'llm_unreachable' : null;
    byId('llm-hint').hidden = hint === null;
    if (hint) setText(byId('llm-hint'), t(hint));
    setText(byId('service'), health ? describe(health) : '');
  }

  /** What an operator should know, in the server's own words. */
  #warn(warnings) {
    this.#notices.clear(...this.#warned.filter((id) => !warnings.some(({ code }) => code === id)));
    for (const { code, message, message_en: en } of warnings) this.#notices.show(code, { tone: 'warning', text: () => pick({ zh: message, en }), lasting: true });
    this.#warned = warnings.map(({ code }) => code);
  }
}

function describe({ version, sessions, models = {} }) {
  const loaded = Object.entries(models).map(([name, { device, loaded }]) => `${name} ${loaded ? device : '…'}`);
  const { active, capacity } = sessions;
  const places = capacity === null ? active : `${active}/${capacity}`;
  return [t('service', { version, sessions: places }), ...loaded].join(' · ');
}
