/** What differs between two readings, and that nothing of a reading is lost on the way. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { differences } from '../../web/differences.js';

const marked = (base, other) => differences(base, other).map(({ text, differs }) => (differs ? `[${text}]` : text)).join('');

test('what the other reading has and the base has not is marked', () => {
  assert.equal(marked('今天天汽', '今天天气好'), '今天天[气好]');
  assert.equal(marked('请张伟介绍。', '请章威介绍。'), '请[章威]介绍。');
  assert.equal(marked('一样', '一样'), '一样');
  assert.equal(marked('多了几个字', '几个字'), '几个字');
  assert.equal(marked('', '全新'), '[全新]');
  assert.equal(marked('全没了', ''), '');
  assert.equal(marked('𠮷野家', '𠮷野加'), '𠮷野[加]');
});

test('the pieces are the reading, and those that agree are in the base in this order', () => {
  const letters = 'ab ';
  for (let seed = 0; seed < 500; seed += 1) {
    const word = (n) => Array.from({ length: (seed * n) % 9 }, (_, i) => letters[(seed * (i + n) + i * i) % 3]).join('');
    const [base, other] = [word(7), word(5)];
    const found = differences(base, other);
    assert.equal(found.map(({ text }) => text).join(''), other);
    let at = 0;
    for (const character of found.filter(({ differs }) => !differs).map(({ text }) => text).join('')) {
      at = base.indexOf(character, at) + 1;
      assert.notEqual(at, 0);
    }
  }
});

test('very long readings are not compared character by character', () => {
  const long = '长'.repeat(2_000);
  assert.deepEqual(differences(long, `${long}句`), [{ text: `${long}句`, differs: true }]);
});
