/**
 * The hotword table as text a person edits: one word per line, `word | weight | alias, alias`.
 * What the text does not show (the language) is carried over from the table it was made from.
 */

const MAX_WORDS = 50_000;
const USUAL_WEIGHT = 50; // the server's default; showing it on every line would be noise
const MAX_CHARACTERS = 64;
const CONTROL = /\p{Cc}/u;

/** Items `{text, weight?, aliases?}` to text. */
export function format(items) {
  return items.map(formatItem).join('\n');
}

function formatItem({ text, weight, aliases = [] }) {
  const parts = [text];
  if (weight !== undefined && weight !== null && weight !== USUAL_WEIGHT) parts.push(weight);
  else if (aliases.length > 0) parts.push('');
  if (aliases.length > 0) parts.push(aliases.join(', '));
  return parts.join(' | ');
}

/**
 * Text to `{items, problems}`; `previous` are the items the text was made from. Empty lines are
 * skipped; a word given twice counts once, the later line winning.
 * A problem is `{line, code, value}` with code `hotword_too_long|hotword_control|hotword_weight|hotword_parts|hotword_too_many`.
 */
export function parse(text, previous = []) {
  const before = new Map(previous.map((item) => [item.text, item]));
  const items = new Map();
  const problems = [];
  text.split(/\r?\n/).forEach((raw, index) => {
    if (raw.trim() === '') return;
    const [word, weight = '', aliases = '', ...rest] = raw.split('|').map((part) => part.trim());
    const problem = check(word, weight, aliases, rest);
    if (problem) {
      problems.push({ line: index + 1, ...problem });
      return;
    }
    items.set(word, build(word, weight, aliases, before.get(word)));
  });
  if (items.size > MAX_WORDS) problems.push({ line: MAX_WORDS + 1, code: 'hotword_too_many', value: items.size });
  return { items: [...items.values()], problems };
}

function check(word, weight, aliases, rest) {
  if (word === '' || rest.length > 0) return { code: 'hotword_parts', value: word };
  const tooLong = [word, ...splitAliases(aliases)].find((one) => Array.from(one).length > MAX_CHARACTERS);
  if (tooLong) return { code: 'hotword_too_long', value: tooLong };
  if (CONTROL.test(word + aliases)) return { code: 'hotword_control', value: word };
  if (weight !== '' && !(/^\d+$/.test(weight) && Number(weight) >= 1 && Number(weight) <= 100)) return { code: 'hotword_weight', value: weight };
  return null;
}

function build(text, weight, aliases, previous) {
  const item = { text };
  if (weight !== '') item.weight = Number(weight);
  if (aliases !== '') item.aliases = splitAliases(aliases);
  if (previous?.lang) item.lang = previous.lang;
  return item;
}

const splitAliases = (text) => text.split(/[,，、]/).map((one) => one.trim()).filter((one) => one !== '');
