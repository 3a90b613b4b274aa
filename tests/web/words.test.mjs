/** What the page says: complete in both languages, the same in the HTML and in the dictionary. */

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

import { fileStamp, toText } from '../../web/exports.js';
import { describeError, pick, t, WORDS } from '../../web/i18n.js';
import { levelDb } from '../../web/meter.js';
import { clock, range, stamp } from '../../web/time.js';

const WEB = new URL('../../web/', import.meta.url);
const html = readFileSync(new URL('index.html', WEB), 'utf8');
const scripts = readdirSync(WEB).filter((name) => name.endsWith('.js')).map((name) => readFileSync(new URL(name, WEB), 'utf8')).join('\n');

test('every entry has both languages and the same placeholders', () => {
  for (const [key, [zh, en, ...rest]] of Object.entries(WORDS)) {
    assert.equal(rest.length, 0, key);
    assert.equal(zh === '', en === '', key);
    const names = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
    assert.deepEqual(names(zh), names(en), key);
  }
});

test('the HTML says what the dictionary says', () => {
  const texts = [...html.matchAll(/data-i18n="(\w+)"[^>]*>([^<]*)</g)];
  assert.ok(texts.length > 40);
  for (const [, key, text] of texts) assert.equal(text, WORDS[key]?.[0], key);
  for (const [, key] of html.matchAll(/data-i18n-(?:title|aria-label)="(\w+)"/g)) assert.ok(html.includes(`"${WORDS[key][0]}"`), key);
});

test('every key that a script asks for exists, and every entry is asked for', () => {
  for (const [, key] of scripts.matchAll(/\bt\('(\w+)'/g)) assert.ok(key in WORDS, key);
  const families = /^(connection|phase|stage|fallback|stopped|hotword|mic|worklet)_/;
  for (const key of Object.keys(WORDS)) {
    assert.ok(families.test(key) || scripts.includes(`'${key}'`) || html.includes(`"${key}"`), `${key} is not used`);
  }
});

test('values are filled in', () => {
  assert.equal(t('characters', { n: 7 }), '7 字');
});

test("the server's own words come first, then ours", () => {
  assert.equal(describeError({ code: 'busy', zh: '已满', en: 'full' }), '已满');
  assert.equal(pick({ en: 'full' }), 'full');
  assert.match(describeError({ code: 'http_502' }), /http_502/);
  assert.equal(describeError({ code: 'unreachable' }), WORDS.error_unreachable[0]);
});

test('times as people read them', () => {
  assert.deepEqual([0, 59_999, 60_000, 3_600_000].map(clock), ['0:00', '0:59', '1:00', '1:00:00']);
  assert.equal(stamp(7_390), '0:07.3');
  assert.equal(range(300, null), '0:00.3 – …');
});

test('a saved text has the whole text, then each sentence with its times', () => {
  const text = toText({ text: '甲。乙。', timestamps: [{ text: '甲。', start_ms: 0, end_ms: 900 }, { text: '乙。', start_ms: 1000, end_ms: 61_000 }] });
  assert.equal(text, '甲。乙。\n\n[0:00.0 – 0:00.9] 甲。\n[0:01.0 – 1:01.0] 乙。\n');
  assert.equal(fileStamp(new Date(2026, 0, 5, 7, 3)), '2026-01-05 0703');
});

test('levels in dB below full scale', () => {
  assert.equal(levelDb(new Int16Array(1600).buffer), -100);
  assert.ok(Math.abs(levelDb(new Int16Array(1600).fill(-16384).buffer) + 6.02) < 0.01);
});
