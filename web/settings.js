/** The options form, remembered between visits; `?codec=opus` or `?codec=pcm` in the address sets that switch. */

import { canEncode } from '../clients/web/AsrClient.js';
import { h } from './dom.js';

const KEY = 'xingji.options';

export class Settings {
  #form;
  #llmOffered = false;

  constructor(form, onChange) {
    this.#form = form;
    this.#restore();
    const codec = new URLSearchParams(location.search).get('codec');
    if (codec) form.elements.opus.checked = codec === 'opus';
    form.elements.opus.disabled = !canEncode();
    form.addEventListener('submit', (event) => event.preventDefault());
    form.addEventListener('change', () => {
      localStorage.setItem(KEY, JSON.stringify(this.#read()));
      onChange();
    });
  }

  /** Whether the server has an LLM at all; without one the switch cannot be used. */
  offerLlm(offered) {
    this.#llmOffered = offered;
    this.#form.elements.llm.disabled = !offered;
  }

  /** Models for the second pass, as the server lists them; one alone is no choice. */
  offerModels(usable) {
    const field = this.#form.elements.model_id;
    field.replaceChildren(...usable.map(({ id, name }) => h('option', { value: id }, name)));
    const saved = parse(localStorage.getItem(KEY)).model_id;
    field.value = (usable.find(({ id }) => id === saved) ?? usable.find((model) => model.default))?.id ?? '';
    field.closest('label').hidden = usable.length < 2;
  }

  /** For `start_recording`. */
  get recognition() {
    return { punctuation: this.#read().punctuation, ...this.common };
  }

  /** What recordings and uploads have in common. */
  get common() {
    const { language, remove_fillers, model_id } = this.#read();
    const chosen = this.#form.elements.model_id.options.length > 1 && model_id ? { model_id } : {};
    return { language, remove_fillers, llm: this.llm, ...chosen };
  }

  /** Send WebM/Opus instead of PCM. */
  get opus() {
    return canEncode() && this.#form.elements.opus.checked;
  }

  get llm() {
    return this.#llmOffered && this.#form.elements.llm.checked;
  }

  /** For `getUserMedia`. */
  get processing() {
    const { noiseSuppression, echoCancellation, autoGainControl } = this.#read();
    return { noiseSuppression, echoCancellation, autoGainControl };
  }

  #fields() {
    return [...this.#form.elements].filter((field) => field.name);
  }

  #read() {
    return Object.fromEntries(this.#fields().map((field) => [field.name, field.type === 'checkbox' ? field.checked : field.value]));
  }

  #restore() {
    const saved = parse(localStorage.getItem(KEY));
    for (const field of this.#fields()) {
      const value = saved[field.name];
      if (field.type === 'checkbox' && typeof value === 'boolean') field.checked = value;
      if (field.tagName === 'SELECT' && [...field.options].some((option) => option.value === value)) field.value = value;
    }
  }
}

function parse(text) {
  try {
    return JSON.parse(text ?? '{}') ?? {};
  } catch {
    return {}; // somebody else's value under our key
  }
}
