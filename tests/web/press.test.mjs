/** Short presses toggle, long ones hold. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Press } from '../../web/press.js';

test('a short press starts and leaves it running; the next one stops on release', () => {
  const press = new Press();
  assert.equal(press.down(0, false), 'start');
  assert.equal(press.up(349), null);
  assert.equal(press.down(5_000, true), null);
  assert.equal(press.up(5_010), 'stop');
});

test('a long press records while it is held', () => {
  const press = new Press();
  assert.equal(press.down(0, false), 'start');
  assert.equal(press.up(350), 'stop');
});

test('a long press on a running recording stops it', () => {
  const press = new Press();
  press.down(0, true);
  assert.equal(press.up(2_000), 'stop');
});

test('a second finger, a repeated key or a stray release does nothing', () => {
  const press = new Press();
  assert.equal(press.up(0), null);
  assert.equal(press.down(0, false), 'start');
  assert.equal(press.down(50, true), null);
  assert.equal(press.up(100), null);
  assert.equal(press.up(120), null);
});
