/** Where one reading of a sentence differs from another. */

const LONGEST = 1_000; // characters; the table below is quadratic

/**
 * `other` cut into pieces, those that `base` has too and those that it has not:
 * `differences('今天天汽', '今天天气好')` gives `[{text: '今天天', differs: false}, {text: '气好', differs: true}]`.
 * Joined, the pieces are `other`.
 */
export function differences(base, other) {
  const [ours, theirs] = [Array.from(base), Array.from(other)];
  if (Math.max(ours.length, theirs.length) > LONGEST) return [{ text: other, differs: base !== other }];
  const common = commonLengths(ours, theirs);
  const found = [];
  const add = (character, differs) => {
    if (found.at(-1)?.differs === differs) found.at(-1).text += character;
    else found.push({ text: character, differs });
  };
  let i = 0;
  let j = 0;
  while (j < theirs.length) {
    if (i < ours.length && ours[i] === theirs[j]) {
      add(theirs[j], false);
      i += 1;
      j += 1;
    } else if (i < ours.length && common[i + 1][j] >= common[i][j + 1]) i += 1;
    else {
      add(theirs[j], true);
      j += 1;
    }
  }
  return found;
}

/** `[i][j]`: how many characters `a` from `i` and `b` from `j` on have in common, in order. */
function commonLengths(a, b) {
  const table = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      table[i][j] = a[i] === b[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
    }
  }
  return table;
}
