/** The hotword table survives being edited as text. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { format, parse } from '../../web/hotword-lines.js';

const ITEMS = [
  { text: '星纪', weight: 80, aliases: ['星际', '星记'] },
  { text: 'New York', weight: 60, lang: 'en' },
  { text: '备份演练' },
  { text: 'DAC', aliases: ['打卡'] },
];

test('text that nobody touched gives back the same table', () => {
  assert.deepEqual(parse(format(ITEMS), ITEMS), { items: ITEMS, problems: [] });
});

test('the table as a person sees it', () => {
  assert.equal(format(ITEMS), '星纪 | 80 | 星际, 星记\nNew York | 60\n备份演练\nDAC |  | 打卡');
});

test('blank lines, either comma and CRLF are fine; the later of two lines wins', () => {
  const { items, problems } = parse('\r\n  林涛|30|林滔，零涛、临涛 \r\n\r\n林涛 | 40\r\n');
  assert.deepEqual(problems, []);
  assert.deepEqual(items, [{ text: '林涛', weight: 40 }]);
  assert.deepEqual(parse('甲|1|乙，丙、丁').items[0].aliases, ['乙', '丙', '丁']);
});

for (const [line, code] of [
  ['词 | 0', 'hotword_weight'],
  ['词 | 101', 'hotword_weight'],
  ['词 | 5.5', 'hotword_weight'],
  ['词 | 很重', 'hotword_weight'],
  ['| 50', 'hotword_parts'],
  ['词 | 50 | 写法 | 多余', 'hotword_parts'],
  ['长'.repeat(65), 'hotword_too_long'],
  [`词 | 50 | ${'长'.repeat(65)}`, 'hotword_too_long'],
  ['坏\u0007词', 'hotword_control'],
]) {
  test(`“${line.slice(0, 20)}” is refused as ${code}, with its line number`, () => {
    const { problems } = parse(`好词\n${line}`);
    assert.deepEqual(problems.map((problem) => [problem.line, problem.code]), [[2, code]]);
  });
}

test('64 characters are allowed, also when each takes two UTF-16 units', () => {
  assert.deepEqual(parse('𠮷'.repeat(64)).problems, []);
});

test('50,000 words and no more', () => {
  const words = (n) => Array.from({ length: n }, (_, k) => `w${k}`).join('\n');
  assert.deepEqual(parse(words(50_000)).problems, []);
  assert.equal(parse(words(50_001)).problems[0].code, 'hotword_too_many');
});
