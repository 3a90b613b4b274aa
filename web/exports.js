/** A finished recording as text and as data, to copy or to keep. */

import { h } from './dom.js';
import { range } from './time.js';

/** Sentences with their times, one per line, after the whole text. Times are the server's `timestamps`. */
export function toText({ text, timestamps }) {
  const lines = timestamps.map((item) => `[${range(item.start_ms, item.end_ms)}] ${item.text}`);
  return [text, '', ...lines, ''].join('\n');
}

export const toJson = (data) => `${JSON.stringify(data, null, 2)}\n`;

/** 2026-11-20 1709, in local time */
export function fileStamp(date) {
  const part = (n) => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${part(date.getMonth() + 1)}-${part(date.getDate())} ${part(date.getHours())}${part(date.getMinutes())}`;
}

export function download(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type: `${type};charset=utf-8` }));
  h('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // not before the browser has read it
}

/** Resolves to whether it worked. Works on insecure pages too, where there is no clipboard API. */
export async function copy(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return false;
    }
  }
  const area = h('textarea', { class: 'visually-hidden' });
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  return done;
}
