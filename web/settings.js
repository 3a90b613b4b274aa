/** The options form, remembered between visits. */

const KEY = 'xingji.options';

export class Settings {
  #form;
  #llmOffered = false;

  constructor(form, onChange) {
    this.#form = form;
    this.#restore();
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

  /** For `start_recording`, and for uploads. */
  get recognition() {
    const { language, punctuation } = this.#read();
    return { language, punctuation, llm: this.llm };
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
