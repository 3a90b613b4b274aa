/** The transcript as the page sees it: text never goes backwards and the live text is the server's full text. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EMPTY, isBusy, join, pieces, reduce } from '../../clients/web/transcript.js';

const ID = 'rec_1';
const play = (events, from = EMPTY) => events.reduce((state, [name, data = {}]) => reduce(state, { name, data }), from);
const started = () => play([['starting'], ['recording_started', { recording_id: ID }]]);
const sentence = (id, revision, stage, text, extra = {}) => ({ id, revision, stage, text, stable_chars: 0, start_ms: 100 * id, end_ms: null, ...extra });
const heard = (full_text, wire, extra = {}) => ['transcription', { recording_id: ID, full_text, sentence: wire, is_speech_active: true, current_time_ms: 1000, ...extra }];
const second = (wire) => ['segment_result', { recording_id: ID, sentence: wire }];
const shown = (state) => pieces(state).map(({ text, firmness }) => [text, firmness]);
const FINAL = {
  recording_id: ID, paraformer: '今天天气不错', sensevoice: '今天天气不错。', llm_merged: '今天天气不错。', duration_ms: 3000, error: null,
  timestamps: [{ text: '今天天气不错。', start_ms: 120, end_ms: 1900 }], sentences: [{ id: 1, revision: 5, text: '今天天气不错。', start_ms: 120, end_ms: 1900 }],
};

test('a recording from the button to the final result', () => {
  let state = play([['starting']]);
  assert.equal(state.phase, 'starting');
  state = play([['recording_started', { recording_id: ID }]], state);
  assert.equal(state.phase, 'recording');
  state = play([heard('今天天', sentence(1, 1, 'partial', '今天天', { stable_chars: 2 }))], state);
  assert.deepEqual(shown(state), [['今天', 'stable'], ['天', 'tentative']]);
  assert.equal(state.speaking, true);
  state = play([heard('今天天气不错', sentence(1, 2, 'streamed', '今天天气不错', { end_ms: 1900 }), { is_speech_active: false })], state);
  assert.deepEqual(shown(state), [['今天天气不错', 'closed']]);
  state = play([second(sentence(1, 3, 'second_pass', '今天天气不错。', { end_ms: 1900 }))], state);
  assert.deepEqual(shown(state), [['今天天气不错。', 'settled']]);
  state = play([['stopping'], ['recording_stopped', { recording_id: ID, reason: 'client', duration_ms: 3000 }], ['processing_progress', { recording_id: ID, progress: 40 }]], state);
  assert.deepEqual([state.phase, state.progress, state.stopReason, state.timeMs], ['finalizing', 40, 'client', 3000]);
  state = play([['final_result', FINAL]], state);
  assert.equal(state.phase, 'done');
  assert.equal(state.final, FINAL);
  assert.deepEqual(state.sentences.map(({ id, stage, startMs, endMs }) => [id, stage, startMs, endMs]), [[1, 'second_pass', 120, 1900]]);
  assert.equal(isBusy(state), false);
});

test('the final result tells who read what', () => {
  const readings = { paraformer: '今天天汽不错', sensevoice: '今天天气不错。' };
  const state = play([['final_result', { ...FINAL, sentences: [{ ...FINAL.sentences[0], readings }] }]], started());
  assert.deepEqual(state.sentences[0].readings, Object.entries(readings));
  assert.deepEqual(play([['final_result', FINAL]], started()).sentences[0].readings, []);
});

test('reduce leaves its argument alone', () => {
  const before = play([heard('今天', sentence(1, 1, 'partial', '今天'))], started());
  const copy = structuredClone(before);
  play([heard('今天天气', sentence(1, 2, 'partial', '今天天气')), second(sentence(1, 3, 'second_pass', '今天。')), ['final_result', FINAL]], before);
  assert.deepEqual(before, copy);
});

test('late and repeated revisions are ignored, a stage never falls', () => {
  const state = play([heard('甲乙', sentence(1, 4, 'streamed', '甲乙')), second(sentence(1, 6, 'second_pass', '甲乙。'))], started());
  for (const revision of [6, 5]) assert.equal(reduce(state, { name: 'segment_result', data: { sentence: sentence(1, revision, 'corrected', '过时') } }), state);
  const later = play([second(sentence(1, 7, 'streamed', '甲乙丙。'))], state);
  assert.deepEqual(later.sentences.map(({ revision, stage, text }) => [revision, stage, text]), [[7, 'second_pass', '甲乙丙。']]);
});

test('a second pass replaces its own sentence, not a later one that reads the same', () => {
  const state = play([
    heard('好的', sentence(1, 1, 'streamed', '好的')),
    heard('好的好的', sentence(2, 1, 'streamed', '好的')),
    second(sentence(1, 2, 'second_pass', '好的。')),
  ], started());
  assert.equal(state.fullText, '好的。好的');
  assert.deepEqual(shown(state), [['好的。', 'settled'], ['好的', 'closed']]);
});

test('the pieces joined are always the full text, also where no sentence accounts for it', () => {
  const states = [
    play([heard('一二 three 四', sentence(1, 1, 'streamed', '一二')), heard('一二 three 四', sentence(2, 1, 'partial', '四'))], started()),
    play([heard('没有句子信息', null)], started()),
    play([heard('不含此句', sentence(1, 1, 'partial', '别的'))], started()),
    play([heard('你好', sentence(1, 1, 'partial', '你好')), ['final_result', FINAL]], started()),
  ];
  for (const state of states) assert.equal(pieces(state).map(({ text }) => text).join(''), state.fullText);
  assert.deepEqual(shown(states[0]), [['一二', 'closed'], [' three ', 'closed'], ['四', 'tentative']]);
});

test('stable characters are counted as characters, not as UTF-16 units', () => {
  const state = play([heard('𠮷野家', sentence(1, 1, 'partial', '𠮷野家', { stable_chars: 1 }))], started());
  assert.deepEqual(shown(state), [['𠮷', 'stable'], ['野家', 'tentative']]);
});

test('a sentence that proves to be no speech goes, and an older revision does not bring it back', () => {
  const both = play([heard('嗯', sentence(1, 1, 'partial', '嗯')), heard('嗯好的', sentence(2, 1, 'partial', '好的'))], started());
  const state = play([heard('好的', sentence(1, 3, 'partial', ''))], both);
  assert.deepEqual([state.fullText, state.sentences.map(({ id }) => id), state.dropped.map(({ id }) => id)], ['好的', [2], [1]]);
  const late = play([second(sentence(1, 2, 'second_pass', '嗯。'))], state);
  assert.equal(late, state);
});

test('the word that a sentence is settled comes with the revision that is there already', () => {
  const before = play([heard('好的。', sentence(1, 2, 'second_pass', '好的。'))], started());
  assert.equal(before.sentences[0].settled, false);
  const state = play([second(sentence(1, 2, 'second_pass', '好的。', { settled: true, readings: { paraformer: '好的' } }))], before);
  assert.deepEqual([state.sentences[0].settled, state.sentences[0].readings], [true, [['paraformer', '好的']]]);
  assert.equal(play([second(sentence(1, 2, 'second_pass', '好的。', { settled: true }))], state), state);
});

test('where the server tells no full text, the sentences make it up', () => {
  const told = (wire) => ['transcription', { recording_id: ID, sentence: wire, is_speech_active: true }];
  const state = play([told(sentence(1, 1, 'second_pass', 'Call me')), told(sentence(2, 1, 'second_pass', 'at 3.')), told(sentence(3, 1, 'partial', '好的'))], started());
  assert.equal(state.fullText, 'Call me at 3. 好的');
  assert.equal(join(['今天', '很好。', 'OK', 'fine', '好', '']), '今天很好。OK fine好');
  const done = play([['final_result', { recording_id: ID, duration_ms: 2000 }]], state);
  assert.deepEqual([done.phase, done.fullText, done.timeMs], ['done', state.fullText, 2000]);
  assert.ok(done.sentences.every(({ settled }) => settled));
});

test('what belongs to another recording, or to none, changes nothing', () => {
  const state = started();
  const stranger = { recording_id: 'rec_0', full_text: '旧', progress: 99, sentence: sentence(1, 1, 'second_pass', '旧'), ...FINAL, recording_id: 'rec_0' };
  for (const name of ['transcription', 'segment_result', 'recording_stopped', 'processing_progress', 'final_result']) {
    assert.equal(reduce(state, { name, data: stranger }), state);
    assert.equal(reduce(EMPTY, { name, data: { ...stranger, recording_id: undefined } }), EMPTY);
  }
  assert.equal(reduce(state, { name: 'something_new', data: {} }), state);
});

test('progress and time only rise', () => {
  const state = play([
    ['recording_stopped', { recording_id: ID }],
    ['processing_progress', { recording_id: ID, progress: 60 }],
    ['processing_progress', { recording_id: ID, progress: 30 }],
    heard('a', null, { current_time_ms: 500 }),
    heard('a', null, { current_time_ms: 300 }),
  ], started());
  assert.deepEqual([state.progress, state.timeMs], [60, 500]);
});

test('a broken line keeps the text and says so, and takes the result that was kept; one that was idle stays idle', () => {
  const state = play([heard('留下', sentence(1, 1, 'partial', '留下')), ['connection_lost']], started());
  assert.deepEqual([state.phase, state.fullText], ['interrupted', '留下']);
  assert.equal(play([['final_result', { ...FINAL, recording_id: 'rec_0' }]], state), state);
  assert.equal(play([['final_result', FINAL]], state).phase, 'done', 'the server had kept it');
  assert.equal(play([['connection_lost']]), EMPTY);
});

test('a recording that never began leaves nothing behind', () => {
  assert.equal(play([['starting'], ['cancelled']]), EMPTY);
  const running = started();
  assert.equal(play([['cancelled']], running), running);
});

test('a final result without a second pass: its sentences are streamed ones', () => {
  const state = play([['final_result', { ...FINAL, sensevoice: '' }]], started());
  assert.deepEqual(state.sentences.map(({ id, text, stage, endMs }) => [id, text, stage, endMs]), [[1, '今天天气不错。', 'streamed', 1900]]);
});

test('a correction keeps its stage in the final list', () => {
  const state = play([second(sentence(1, 3, 'corrected', '今天天气不错。')), ['final_result', FINAL]], started());
  assert.equal(state.sentences[0].stage, 'corrected');
});
