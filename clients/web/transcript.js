/**
 * 服务器说过的话，归并成一个值。 What the server said, as one value: `reduce(state, event)` never changes its argument
 * and knows no network and no browser. Text never goes backwards: a late or repeated revision is ignored, a stage
 * never falls, a sentence that is withdrawn leaves the list.
 *
 * An event is `{name, data}` as it comes over Socket.IO (the DashScope wire translates into the same words);
 * `starting`, `stopping`, `connection_lost` and `cancelled` are said on this side.
 *
 * @typedef {'partial'|'streamed'|'second_pass'|'corrected'} Stage
 *
 * @typedef {Object} Sentence
 * @property {number} id  编号，从 1 起，不变 · from 1, stable
 * @property {number} revision  修订号，只升 · only rises
 * @property {Stage} stage  只升不降 · never falls
 * @property {string} text  整句的文本 · all of the sentence
 * @property {number} stable  开头多少个字在复检前不会变 · leading characters that will not change before the second pass
 * @property {number} startMs
 * @property {number|null} endMs  null：还在说 · still being spoken
 * @property {string|null} language
 * @property {boolean} settled  已定稿 · no revision will follow
 * @property {[string, string][]} readings  谁读作什么 · who read it, and what; once settled
 *
 * @typedef {Object} Transcript
 * @property {'idle'|'starting'|'recording'|'finalizing'|'done'|'interrupted'} phase  `interrupted`: the connection broke
 * @property {string|null} recordingId
 * @property {boolean} speaking
 * @property {number} timeMs  听到哪里，只增 · how far the server has listened
 * @property {string} fullText  全文 · what to show
 * @property {Sentence[]} sentences  按编号排列 · ordered by id
 * @property {Sentence[]} dropped  撤掉的句子 · withdrawn: they were no speech
 * @property {number|null} progress  0…100，停止之后 · once stopped
 * @property {string|null} stopReason
 * @property {Object|null} final  原样的 final_result · the server's own
 *
 * @typedef {{name: string, data?: any}} Event
 * @typedef {{text: string, firmness: 'settled'|'closed'|'stable'|'tentative'}} Piece
 */

/** @type {string[]} */
const STAGES = ['partial', 'streamed', 'second_pass', 'corrected'];

/** @type {Readonly<Transcript>} */
export const EMPTY = Object.freeze({
  phase: 'idle',
  recordingId: null,
  speaking: false,
  timeMs: 0,
  fullText: '',
  sentences: [],
  dropped: [],
  progress: null,
  stopReason: null,
  final: null,
});

/**
 * @param {Transcript} state
 * @param {Event} event
 * @returns {Transcript} the same object where the event changes nothing
 */
export function reduce(state, { name, data }) {
  if (name === 'starting') return { ...EMPTY, phase: 'starting' };
  if (name === 'cancelled') return state.phase === 'starting' ? EMPTY : state;
  if (name === 'stopping') return state.phase === 'recording' ? { ...state, phase: 'finalizing', speaking: false } : state;
  if (name === 'connection_lost') return isBusy(state) ? { ...state, phase: 'interrupted', speaking: false } : state;
  if (name === 'recording_started') {
    return state.phase === 'starting' ? { ...state, phase: 'recording', recordingId: data.recording_id ?? null } : state;
  }
  if (!concerns(state, data)) return state;
  if (name === 'final_result' && state.phase === 'interrupted') return withFinal(state, data); // it was kept for us
  if (!isBusy(state)) return state;
  switch (name) {
    case 'transcription':
      return withTranscription(state, data);
    case 'segment_result':
      return withSentence(state, data.sentence);
    case 'recording_stopped':
      return { ...state, phase: 'finalizing', speaking: false, stopReason: data.reason ?? 'client', timeMs: data.duration_ms ?? state.timeMs };
    case 'recording_cancelled':
      return EMPTY;
    case 'processing_progress':
      return { ...state, progress: Math.max(state.progress ?? 0, data.progress) };
    case 'final_result':
      return withFinal(state, data);
    default:
      return state;
  }
}

/** @param {Transcript} state */
export const isBusy = (state) => ['starting', 'recording', 'finalizing'].includes(state.phase);

const concerns = (state, data) => !data?.recording_id || data.recording_id === state.recordingId;

function withTranscription(state, data) {
  const next = data.sentence ? withSentence(state, data.sentence) : state;
  return {
    ...next,
    fullText: data.full_text ?? join(next.sentences.map(({ text }) => text)),
    speaking: Boolean(data.is_speech_active) && state.phase === 'recording',
    timeMs: Math.max(next.timeMs, data.current_time_ms ?? 0),
  };
}

function withSentence(state, wire) {
  const same = (one) => one.id === wire.id;
  const known = state.sentences.find(same) ?? state.dropped.find(same);
  if (known && !isNews(known, wire)) return state;
  const revised = fromWire(wire, known);
  const [sentences, dropped] = [state.sentences, state.dropped].map((list) => list.filter((one) => !same(one)));
  if (revised.text === '') return { ...state, sentences, dropped: ordered(dropped, revised), fullText: replaced(state, known, '') };
  return { ...state, sentences: ordered(sentences, revised), dropped, fullText: replaced(state, known, revised.text) };
}

/** A higher revision, or the word that the one we have is the last. */
const isNews = (known, wire) => wire.revision > known.revision || (wire.revision === known.revision && wire.settled === true && !known.settled);

const ordered = (list, one) => [...list, one].sort((a, b) => a.id - b.id);

/** The full text with a sentence's old text replaced, where it can be found. */
function replaced(state, known, text) {
  const at = known && places(state).get(known.id);
  return at === undefined ? state.fullText : state.fullText.slice(0, at) + text + state.fullText.slice(at + known.text.length);
}

function fromWire(wire, known) {
  return {
    id: wire.id,
    revision: wire.revision,
    stage: higher(wire.stage, known?.stage ?? 'partial'),
    text: wire.text,
    stable: wire.stable_chars ?? 0,
    startMs: wire.start_ms,
    endMs: wire.end_ms ?? null,
    language: wire.language ?? null,
    settled: wire.settled === true,
    readings: Object.entries(wire.readings ?? {}),
  };
}

/** A final result that lists no sentences, as DashScope's, leaves those that stand. */
function withFinal(state, data) {
  const { sentences: listed } = data;
  const known = new Map(state.sentences.map((one) => [one.id, one]));
  const atLeast = data.sensevoice === '' ? 'streamed' : 'second_pass'; // nothing is partial any more
  const settled = (wire) => fromWire({ ...wire, stage: higher(wire.stage, known.get(wire.id)?.stage), settled: true }, { stage: atLeast });
  return {
    ...state,
    phase: 'done',
    speaking: false,
    progress: 100,
    timeMs: data.duration_ms ?? state.timeMs,
    fullText: data.llm_merged ?? state.fullText,
    sentences: listed ? listed.filter(({ text }) => text !== '').map(settled) : state.sentences.map((one) => ({ ...one, settled: true })),
    final: data,
  };
}

const higher = (stage, floor) => (STAGES.indexOf(stage) > STAGES.indexOf(floor) ? stage : floor);

/**
 * 句子连成全文：汉字直接相连，外文词之间留一个空格。 Sentences as one text, as the server joins them.
 * @param {string[]} texts
 */
export function join(texts) {
  return texts.reduce((whole, text) => whole + (whole && text && apart(whole.at(-1), text[0]) ? ' ' : '') + text, '');
}

const isLatin = (character) => /^[\x21-\x7e]$|^[\p{L}\p{N}]$/u.test(character) && character < '\u2e80';
const apart = (before, after) => !/\s/.test(before + after) && (',.?!;:'.includes(before) || (isLatin(before) && isLatin(after)));

/** Where each sentence's text begins in the full text, by id; without those that are not found there. */
function places(state) {
  const starts = new Map();
  let from = 0;
  for (const { id, text } of state.sentences) {
    const start = state.fullText.indexOf(text, from);
    if (start < 0) continue;
    starts.set(id, start);
    from = start + text.length;
  }
  return starts;
}

/**
 * 实时文本按“还会不会变”切开。 The live text cut into pieces of equal firmness: `settled` (second pass or later, or
 * the end), `closed` (sentence over, second pass to come), `stable` (will not change before the second pass) and
 * `tentative`. Joined, they are exactly `fullText`, which is the server's word on what to show.
 * @param {Transcript} state
 * @returns {Piece[]}
 */
export function pieces(state) {
  const finished = state.phase === 'done';
  const starts = places(state);
  /** @type {Piece[]} */
  const found = [];
  let at = 0;
  for (const sentence of state.sentences.filter(({ id }) => starts.has(id))) {
    const start = starts.get(sentence.id);
    if (start > at) found.push({ text: state.fullText.slice(at, start), firmness: finished ? 'settled' : 'closed' });
    found.push(...cut(sentence, finished));
    at = start + sentence.text.length;
  }
  if (at < state.fullText.length) found.push({ text: state.fullText.slice(at), firmness: finished ? 'settled' : 'tentative' });
  return found;
}

/** @returns {Piece[]} */
function cut(sentence, finished) {
  if (finished || sentence.stage === 'second_pass' || sentence.stage === 'corrected') return [{ text: sentence.text, firmness: 'settled' }];
  if (sentence.stage === 'streamed') return [{ text: sentence.text, firmness: 'closed' }];
  const characters = Array.from(sentence.text); // the server counts characters, not UTF-16 units
  /** @type {Piece[]} */
  const split = [
    { text: characters.slice(0, sentence.stable).join(''), firmness: 'stable' },
    { text: characters.slice(sentence.stable).join(''), firmness: 'tentative' },
  ];
  return split.filter((piece) => piece.text !== '');
}
