/** A file to `POST /api/asr/transcribe`: choose or drop, see it go, read the result. */

import { authHeaders } from './access.js';
import { ApiError } from './api.js';
import { byId, h } from './dom.js';
import { copy, download, toJson, toText } from './exports.js';
import { describeError, t } from './i18n.js';
import { clock, range } from './time.js';

/**
 * Sends `fields` and the file. `onSent(fraction)` follows the upload. Returns `{done, abort}`;
 * `done` resolves to the response body or rejects with an `ApiError` (code `aborted` after abort).
 */
export function transcribe(file, fields, onSent) {
  const request = new XMLHttpRequest(); // fetch cannot report upload progress
  const done = new Promise((resolve, reject) => {
    request.open('POST', 'api/asr/transcribe');
    request.responseType = 'json';
    for (const [name, value] of Object.entries(authHeaders())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => event.lengthComputable && onSent(event.loaded / event.total);
    request.upload.onload = () => onSent(1);
    request.onload = () => (request.response?.success ? resolve(request.response) : reject(ApiError.from(request.status, request.response)));
    request.onerror = () => reject(new ApiError({ status: 0, code: 'unreachable' }));
    request.onabort = () => reject(new ApiError({ status: 0, code: 'aborted' }));
  });
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, String(value));
  form.append('file', file, file.name);
  request.send(form);
  return { done, abort: () => request.abort() };
}

export class UploadPanel {
  #fields;
  #running = null;
  #status = () => '';
  #result = null; // {name, data}

  /** `fields()` gives the form fields of now. */
  constructor(fields) {
    this.#fields = fields;
    const input = byId('upload-input');
    input.addEventListener('change', () => {
      if (input.files[0]) this.#send(input.files[0]);
      input.value = ''; // the same file may be chosen again
    });
    byId('upload-cancel').addEventListener('click', () => this.#running?.abort());
    this.#acceptDrops(byId('drop'));
  }

  /** Server-side progress of the running upload, 0…100. */
  onProgress(percent) {
    if (this.#running?.sent) this.#show('upload_working_percent', { name: this.#running.name, percent }, percent);
  }

  async #send(file) {
    this.#running?.abort();
    const { name } = file;
    this.#result = null;
    this.render();
    const job = transcribe(file, { generate_timestamps: true, ...this.#fields() }, (fraction) => {
      job.sent = fraction === 1;
      const percent = Math.round(fraction * 100);
      if (job.sent) this.#show('upload_working', { name }, null);
      else this.#show('upload_sending', { name, percent }, percent);
    });
    job.name = name;
    this.#running = job;
    this.#show('upload_sending', { name, percent: 0 }, 0);
    try {
      const { data } = await job.done;
      if (this.#running !== job) return;
      this.#result = { name, data };
      this.#status = () => t('upload_done', { name, length: clock(data.duration_ms ?? 0), n: Array.from(data.text).length });
    } catch (error) {
      if (this.#running !== job) return; // another file has taken its place
      this.#status = error.code === 'aborted' ? () => t('upload_cancelled') : () => describeError(error);
      byId('upload-status').dataset.tone = error.code === 'aborted' ? 'info' : 'error';
    }
    this.#running = null;
    this.render();
  }

  /** `percent` null: busy, nobody knows how far. */
  #show(key, values, percent) {
    this.#status = () => t(key, values);
    const bar = byId('upload-progress');
    if (percent === null) bar.removeAttribute('value');
    else bar.value = percent;
    byId('upload-status').dataset.tone = 'info';
    this.render();
  }

  render() {
    byId('upload-busy').hidden = this.#running === null;
    byId('upload-status').textContent = this.#status();
    const box = byId('upload-result');
    box.hidden = this.#result === null;
    box.replaceChildren(...(this.#result ? draw(this.#result) : []));
  }

  #acceptDrops(zone) {
    for (const name of ['dragenter', 'dragover']) {
      zone.addEventListener(name, (event) => {
        event.preventDefault();
        zone.classList.add('over');
      });
    }
    zone.addEventListener('dragleave', () => zone.classList.remove('over'));
    zone.addEventListener('drop', (event) => {
      event.preventDefault();
      zone.classList.remove('over');
      if (event.dataTransfer.files[0]) this.#send(event.dataTransfer.files[0]);
    });
  }
}

function draw({ name, data }) {
  const button = (key, act) => {
    const element = h('button', { type: 'button', class: 'quiet' }, t(key));
    element.addEventListener('click', () => act(element));
    return element;
  };
  const timestamps = data.timestamps ?? [];
  return [
    h('p', { class: 'upload-text', 'data-empty': data.text === '' ? t('no_speech') : '' }, data.text),
    h('ol', { class: 'sentences compact' }, ...timestamps.map((item) => (
      h('li', { class: 'sentence' }, h('span', { class: 'times' }, range(item.start_ms, item.end_ms)), h('p', { class: 'sentence-text' }, item.text))
    ))),
    h('div', { class: 'actions' },
      button('copy', async (element) => { element.textContent = t((await copy(data.text)) ? 'copied' : 'copy_failed'); }),
      button('save_txt', () => download(`${name}.txt`, 'text/plain', toText({ text: data.text, timestamps }))),
      button('save_json', () => download(`${name}.json`, 'application/json', toJson(data)))),
  ];
}
