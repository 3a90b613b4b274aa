/**
 * What the server said, as one value: `reduce(state, event)` never changes its argument and knows no
 * browser. Text never goes backwards: a late or repeated revision is ignored, a stage never falls.
 *
 * An event is `{name, data}` as it came over Socket.IO; `{name: 'starting'}`, `{name: 'stopping'}`,
 * `{name: 'connection_lost'}` and `{name: 'cancelled'}` are said by the page itself.
 */

const STAGES = ['partial', 'streamed', 'second_pass', 'corrected'];

/** Phases: idle → starting → recording → finalizing → done; `interrupted` when the connection broke. */
export const EMPTY = Object.freeze({
  phase: 'idle',
  recordingId: null,
  speaking: false,
  timeMs: 0,
  fullText: '',
  sentences: [], // {id, revision, stage, text, stable, startMs, endMs, language}, ordered by id
  progress: null, // 0…100 while finalizing
  stopReason: null,
  final: null, // the server's final_result, unchanged
});

export function reduce(state, { name, data }) {
  if (name === 'starting') return { ...EMPTY, phase: 'starting' };
  if (name === 'cancelled') return state.phase === 'starting' ? EMPTY : state;
  if (name === 'stopping') return state.phase === 'recording' ? { ...state, phase: 'finalizing', speaking: false } : state;
  if (name === 'connection_lost') return isBusy(state) ? { ...state, phase: 'interrupted', speaking: false } : state;
  if (name === 'recording_started') {
    return state.phase === 'starting' ? { ...state, phase: 'recording', recordingId: data.recording_id ?? null } : state;
  }
  if (!isBusy(state) || !concerns(state, data)) return state;
  switch (name) {
    case 'transcription':
      return withTranscription(state, data);
    case 'segment_result':
      return withSentence(state, data.sentence);
    case 'recording_stopped':
      return { ...state, phase: 'finalizing', speaking: false, stopReason: data.reason ?? 'client', timeMs: data.duration_ms ?? state.timeMs };
    case 'processing_progress':
      return { ...state, progress: Math.max(state.progress ?? 0, data.progress) };
    case 'final_result':
      return withFinal(state, data);
    default:
      return state;
  }
}

export const isBusy = (state) => ['starting', 'recording', 'finalizing'].includes(state.phase);

const concerns = (state, data) => !data.recording_id || data.recording_id === state.recordingId;

function withTranscription(state, data) {
  const next = data.sentence ? withSentence(state, data.sentence) : state;
  const fullText = data.full_text ?? next.fullText;
  return {
    ...next,
    fullText,
    sentences: fullText === '' ? [] : next.sentences, // the only sentence was no speech
    speaking: Boolean(data.is_speech_active) && state.phase === 'recording',
    timeMs: Math.max(next.timeMs, data.current_time_ms ?? 0),
  };
}

function withSentence(state, wire) {
  const known = state.sentences.find((one) => one.id === wire.id);
  if (known && wire.revision <= known.revision) return state;
  const revised = fromWire(wire, known?.stage ?? 'partial');
  const others = state.sentences.filter((one) => one.id !== wire.id);
  const at = known && places(state).get(known.id);
  return {
    ...state,
    sentences: [...others, revised].sort((a, b) => a.id - b.id),
    fullText: at === undefined ? state.fullText : splice(state.fullText, at, known.text.length, revised.text),
  };
}

const splice = (text, at, length, replacement) => text.slice(0, at) + replacement + text.slice(at + length);

function fromWire(wire, floor) {
  return {
    id: wire.id,
    revision: wire.revision,
    stage: higher(wire.stage, floor),
    text: wire.text,
    stable: wire.stable_chars ?? 0,
    startMs: wire.start_ms,
    endMs: wire.end_ms ?? null,
    language: wire.language ?? null,
    readings: Object.entries(wire.readings ?? {}), // with the final result: [who read it, what]
  };
}

function withFinal(state, data) {
  const stages = new Map(state.sentences.map((one) => [one.id, one.stage]));
  const atLeast = data.sensevoice === '' ? 'streamed' : 'second_pass'; // nothing is partial any more
  const listed = data.sentences ?? data.timestamps.map((item, index) => ({ id: index + 1, revision: 0, ...item }));
  return {
    ...state,
    phase: 'done',
    speaking: false,
    progress: 100,
    timeMs: data.duration_ms ?? state.timeMs,
    fullText: data.llm_merged,
    sentences: listed.map((wire) => fromWire({ stage: stages.get(wire.id), ...wire }, atLeast)),
    final: data,
  };
}

const higher = (stage, floor) => (STAGES.indexOf(stage) > STAGES.indexOf(floor) ? stage : floor);

/** Where each sentence's text begins in the full text, by id; without those that are not found there. */
function places(state) {
  const starts = new Map();
  let from = 0;
  for (const { id, text } of state.sentences) {
    const start = text === '' ? -1 : state.fullText.indexOf(text, from);
    if (start < 0) continue;
    starts.set(id, start);
    from = start + text.length;
  }
  return starts;
}

/**
 * The live text cut into pieces of equal firmness: `settled` (second pass or later, or the end),
 * `closed` (sentence over, second pass to come), `stable` (will not change before the second pass)
 * and `tentative`. Joined, they are exactly `fullText`, which is the server's word on what to show.
 */
export function pieces(state) {
  const finished = state.phase === 'done';
  const starts = places(state);
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

function cut(sentence, finished) {
  if (finished || sentence.stage === 'second_pass' || sentence.stage === 'corrected') return [{ text: sentence.text, firmness: 'settled' }];
  if (sentence.stage === 'streamed') return [{ text: sentence.text, firmness: 'closed' }];
  const characters = Array.from(sentence.text); // the server counts characters, not UTF-16 units
  const split = [
    { text: characters.slice(0, sentence.stable).join(''), firmness: 'stable' },
    { text: characters.slice(sentence.stable).join(''), firmness: 'tentative' },
  ];
  return split.filter((piece) => piece.text !== '');
}
