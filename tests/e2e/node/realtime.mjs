/**
 * A transcription session by OpenAI's own client: `node realtime.mjs BASE_URL WAV MODE`. MODE is `vad` or `manual`.
 * Sends the audio of a 16 kHz WAV, commits, and prints all that it was told.
 * The client always dials `wss`; NODE_EXTRA_CA_CERTS names whom to trust.
 */

import { readFile } from 'node:fs/promises';
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';

const [baseURL, wav, mode] = process.argv.slice(2);
const client = new OpenAI({ apiKey: 'none', baseURL });
const connection = new OpenAIRealtimeWS({ model: 'gpt-4o-transcribe' }, client);
const told = [];
const errors = [];
const waiting = [];
const look = () => { for (const check of waiting) check(); };
connection.on('event', (event) => { told.push(event); look(); });
connection.on('error', (error) => { errors.push(error.error?.code ?? String(error)); look(); });

const until = (wanted) => new Promise((resolve) => {
  const check = () => { if (wanted()) resolve(); };
  waiting.push(check);
  check();
});
const count = (kind) => told.filter((event) => event.type.endsWith(kind)).length;

await until(() => count('session.created'));
const turns = mode === 'vad' ? { type: 'server_vad', silence_duration_ms: 500 } : null;
const input = { format: { type: 'audio/pcm', rate: 16000 }, turn_detection: turns };
connection.send({ type: 'session.update', session: { type: 'transcription', audio: { input } } });
const pcm = (await readFile(wav)).subarray(44);
for (let at = 0; at < pcm.length; at += 3200) {
  connection.send({ type: 'input_audio_buffer.append', audio: pcm.subarray(at, at + 3200).toString('base64') });
  await new Promise((resolve) => { setTimeout(resolve, 20); });
}
connection.send({ type: 'input_audio_buffer.commit' });
if (mode === 'vad') {
  connection.send({ type: 'input_audio_buffer.clear' });
  await until(() => count('cleared'));
} else {
  await until(() => count('completed'));
  connection.send({ type: 'input_audio_buffer.commit' });
  await until(() => errors.length);
}
connection.socket.on('close', () => console.log(JSON.stringify({ told, errors })));
connection.close();
