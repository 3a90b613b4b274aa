/** The transcript state on the page. Draws what differs and nothing else. */

import { isBusy, pieces } from '../clients/web/AsrClient.js';
import { differences } from './differences.js';
import { byId, h, keyed, setText } from './dom.js';
import { t } from './i18n.js';
import { clock, range } from './time.js';

const LANGUAGE_TAGS = { zh: 'zh', en: 'en', ja: 'ja', ko: 'ko', yue: 'yue' };

export class View {
  #announced = new Set(); // sentences already read out to screen readers
  #nameOf;

  /** `nameOf(id)`: what people call a model. */
  constructor(nameOf) {
    this.#nameOf = nameOf;
  }

  /** `recordedMs` runs ahead of the state's time: it counts what the microphone has given. */
  render(state, recordedMs) {
    this.tick(state, recordedMs);
    this.#renderStatus(state);
    this.#renderLive(state);
    this.#renderSentences(state);
    this.#renderFinal(state);
    this.#announce(state);
  }

  /** Only the clock, for every frame; the rest is drawn when the state has changed. */
  tick(state, recordedMs) {
    setText(byId('timer'), clock(state.final || state.stopReason ? state.timeMs : recordedMs));
  }

  #renderStatus(state) {
    const recording = state.phase === 'starting' || state.phase === 'recording';
    const button = byId('record');
    button.dataset.phase = state.phase;
    button.setAttribute('aria-disabled', String(state.phase === 'finalizing')); // keeps the keyboard's focus
    button.setAttribute('aria-pressed', String(recording));
    button.dataset.i18nAriaLabel = recording ? 'record_stop' : 'record_start';
    button.setAttribute('aria-label', t(button.dataset.i18nAriaLabel));

    const shown = state.speaking ? 'speaking' : state.phase;
    byId('phase').dataset.phase = shown;
    setText(byId('phase'), t(`phase_${shown}`));

    const progress = byId('final-progress');
    progress.hidden = state.phase !== 'finalizing';
    if (state.progress === null) progress.removeAttribute('value');
    else progress.value = state.progress;
  }

  #renderLive(state) {
    const box = byId('live');
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 48;
    const shown = pieces(state).map((piece, index) => ({ ...piece, index }));
    keyed(byId('live-text'), shown, (piece) => piece.index, () => h('span', { class: 'piece' }), (span, piece) => {
      span.dataset.firmness = piece.firmness;
      setText(span, piece.text);
    });
    const empty = byId('live-empty');
    empty.hidden = shown.length > 0;
    empty.dataset.i18n = state.phase === 'done' && shown.length === 0 ? 'no_speech' : 'live_empty';
    setText(empty, t(empty.dataset.i18n));
    if (atEnd) box.scrollTop = box.scrollHeight; // unless the reader has scrolled back
  }

  #renderSentences(state) {
    byId('sentence-card').hidden = state.sentences.length === 0;
    keyed(byId('sentences'), state.sentences, (sentence) => sentence.id, makeSentence, (row, sentence) => fillSentence(row, sentence, this.#nameOf));
  }

  #renderFinal({ final, sentences }) {
    byId('result').hidden = final === null;
    if (final === null) return;
    for (const [layer, text] of [['paraformer', final.paraformer], ['sensevoice', final.sensevoice], ['llm', final.llm_merged]]) {
      setText(byId(`final-${layer}`), text);
      byId(`final-${layer}`).dataset.empty = text === '' ? t('layer_empty') : '';
      setText(byId(`count-${layer}`), t('characters', { n: Array.from(text).length }));
    }
    setText(byId('second-pass-by'), secondPassLabel(secondPassBy(sentences), this.#nameOf));
    setText(byId('final-note'), noteOn(final));
  }

  #announce(state) {
    if (state.phase === 'starting') this.#announced.clear();
    for (const { id, stage, text } of state.sentences) {
      if (stage === 'partial' || this.#announced.has(id)) continue;
      this.#announced.add(id);
      if (isBusy(state)) setText(byId('announcer'), text);
    }
  }
}

function makeSentence() {
  return h('li', { class: 'sentence' }, h('span', { class: 'times' }), h('span', { class: 'badge' }), h('p', { class: 'sentence-text' }), makeLayers());
}

function makeLayers() {
  return h('details', { class: 'layers' }, h('summary', {}), h('dl', {}));
}

function fillSentence(row, sentence, nameOf) {
  const [times, badge, text, layers] = row.children;
  row.dataset.stage = sentence.stage;
  setText(times, range(sentence.startMs, sentence.endMs));
  setText(badge, t(`stage_${sentence.stage}`));
  setText(text, sentence.text);
  text.lang = LANGUAGE_TAGS[sentence.language] ?? '';
  fillLayers(layers, sentence, nameOf);
}

/** Each reading of the sentence, with what the text that stands does not have. */
function fillLayers(layers, { readings, text }, nameOf) {
  const [summary, list] = layers.children;
  layers.hidden = readings.every(([, reading]) => reading === text);
  setText(summary, t('readings'));
  keyed(list, readings, ([name]) => name, () => h('div', {}, h('dt', {}), h('dd', {})), (row, [name, reading]) => {
    setText(row.firstChild, isSecondPass(name) ? secondPassLabel([name], nameOf) : t(`layer_${name}`));
    const parts = differences(text, reading).map((part, index) => ({ ...part, index }));
    keyed(row.lastChild, parts, (part) => part.index, () => h('span', {}), (span, part) => {
      span.className = part.differs ? 'differs' : '';
      setText(span, part.text);
    });
  });
}

const isSecondPass = (name) => name !== 'paraformer' && name !== 'llm';

/** Ids of the models that made the second pass of these sentences, in order. */
export const secondPassBy = (sentences) => [...new Set(sentences.flatMap(({ readings }) => readings.map(([name]) => name).filter(isSecondPass)))];

const secondPassLabel = (ids, nameOf) => (ids.length ? t('layer_second_by', { who: ids.map(nameOf).join(t('and')) }) : t('layer_second'));

function noteOn({ llm, error, sentences = [] }) {
  const parts = [];
  if (llm?.used) parts.push(t('llm_used', { model: llm.model }));
  else {
    const key = `fallback_${llm?.fallback}`;
    const known = ['disabled', 'overloaded', 'timeout', 'http_error', 'rejected'].includes(llm?.fallback);
    parts.push(t('llm_unused', { reason: t(known ? key : 'fallback_other') }));
  }
  if (sentences.some(({ fallback }) => fallback)) parts.push(t('stood_in'));
  if (error) parts.push(t('final_error'));
  return parts.join(' · ');
}
