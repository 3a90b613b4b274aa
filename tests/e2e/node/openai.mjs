/**
 * A file through OpenAI's own client: `node openai.mjs URL WAV`. Prints what it was told as JSON.
 */

import { createReadStream } from 'node:fs';
import OpenAI from 'openai';

const [url, wav] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
const ask = (more) => client.audio.transcriptions.create({ file: createReadStream(wav), model: 'whisper-1', ...more });

const told = { models: [], deltas: [] };
for await (const model of client.models.list()) told.models.push(model.id);
told.json = await ask({});
told.text = await ask({ response_format: 'text' });
told.verbose = await ask({ response_format: 'verbose_json', timestamp_granularities: ['word', 'segment'] });
told.diarized = await ask({ response_format: 'diarized_json', keywords: ['林滔', '章薇'] });
for await (const event of await ask({ stream: true })) {
  if (event.type === 'transcript.text.delta') told.deltas.push(event.delta);
  else told.done = event;
}
try {
  await ask({ model: 'gpt-4' });
} catch (error) {
  told.error = { name: error.constructor.name, status: error.status, code: error.code, request: error.requestID };
}
console.log(JSON.stringify(told));
