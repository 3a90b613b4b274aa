/** `node reduce.mjs`: a JSON list of recordings, each a list of [name, data], from standard input; prints where each ends. */

import { readFileSync } from 'node:fs';

import { EMPTY, reduce } from '../../clients/web/transcript.js';

const recordings = JSON.parse(readFileSync(0, 'utf8'));
const ends = recordings.map((events) => events.reduce((state, [name, data]) => reduce(state, { name, data }), EMPTY));
process.stdout.write(JSON.stringify(ends));
