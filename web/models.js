/** Who may make the second pass: a choice for the next recording, and the names of those who have made one. */

import { getModels } from './api.js';

export class Models {
  #settings;
  #names = new Map(); // by id

  constructor(settings) {
    this.#settings = settings;
  }

  /** Asks the server again; what was known stays where it cannot say. */
  async load() {
    const listed = await getModels().catch(() => null);
    if (!listed) return;
    this.#names = new Map(listed.models.map(({ id, name }) => [id, name]));
    this.#settings.offerModels(listed.models.filter(({ role, available }) => role === 'segment' && available));
  }

  /** What people call it. */
  name(id) {
    return this.#names.get(id) ?? id;
  }
}
