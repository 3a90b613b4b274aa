/** The REST routes this page uses. A refusal becomes an `ApiError` with the server's own words. */

import { authHeaders } from './access.js';

export class ApiError extends Error {
  /** `zh` and `en` are for people and may be missing; `status` is 0 when no answer came. */
  constructor({ status, code, zh, en }) {
    super(code);
    Object.assign(this, { status, code, zh, en });
  }

  static from(status, body) {
    return new ApiError({ status, code: body?.code ?? `http_${status}`, zh: body?.error, en: body?.message_en });
  }
}

async function request(method, path, { json, headers } = {}) {
  const init = { method, headers: { ...authHeaders(), ...headers }, cache: 'no-store' };
  if (json !== undefined) {
    init.headers['Content-Type'] = 'application/json';
    init.body = JSON.stringify(json);
  }
  const response = await fetch(path, init).catch(() => {
    throw new ApiError({ status: 0, code: 'unreachable' });
  });
  const body = await response.json().catch(() => null);
  if (!response.ok || body === null) throw ApiError.from(response.status, body);
  return body;
}

export const getHealth = () => request('GET', 'api/health');
export const getHotwords = async () => (await request('GET', 'api/asr/hotwords')).data;
export const getModels = async () => (await request('GET', 'api/asr/models')).data;
export const reloadHotwords = () => request('POST', 'api/asr/hotwords/reload');

/** Replaces the whole table, unless somebody has changed it since `version`. */
export async function putHotwords(items, version) {
  const body = await request('PUT', 'api/asr/hotwords', { json: { hotwords: items }, headers: { 'If-Match': `"${version}"` } });
  return body.data;
}
