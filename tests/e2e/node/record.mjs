/**
 * One recording by a real socket.io-client: `node record.mjs PACKAGE URL TRANSPORT[,TRANSPORT] WAV`. Sends 100 ms
 * frames, each way of sending in turn, waits for every ack, and prints what it was told as JSON.
 */

import { readFile } from 'node:fs/promises';

const [name, url, transports, wav] = process.argv.slice(2);
const { io } = await import(name);

const WAYS = {
  Buffer: (pcm) => pcm,
  ArrayBuffer: (pcm) => pcm.buffer.slice(pcm.byteOffset, pcm.byteOffset + pcm.length),
  Int16Array: (pcm) => new Int16Array(WAYS.ArrayBuffer(Buffer.concat([pcm, pcm, pcm])), pcm.length, pcm.length / 2), // a view of more
  Uint8Array: (pcm) => new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.length),
  object: (pcm) => ({ audio: pcm }),
  list: (pcm) => Array.from(new Int16Array(WAYS.ArrayBuffer(pcm))),
};

const socket = io(url, { transports: transports.split(','), reconnection: false });
const told = { events: [], partials: [], acks: {} };
for (const event of ['connected', 'recording_started', 'transcription', 'recording_stopped', 'final_result', 'error']) {
  socket.on(event, () => told.events.push(event));
}
socket.on('connect_error', (error) => { throw error; });
socket.on('disconnect', (reason) => { if (reason !== 'io client disconnect') throw new Error(reason); });
socket.on('transcription', ({ full_text: text }) => { if (text) told.partials.push(text); });

const first = (event, wanted) => new Promise((resolve) => {
  socket.on(event, (body) => { if (wanted(body)) resolve(body); });
});
const ask = (event, ...payload) => new Promise((resolve) => { socket.emit(event, ...payload, resolve); });

const text = first('transcription', (body) => body.full_text);
const final = first('final_result', () => true);
told.start = await ask('start_recording', {});
const frames = (await readFile(wav)).subarray(44);
for (let at = 0, n = 0; at < frames.length; at += 3200, n += 1) {
  const pcm = frames.subarray(at, at + 3200);
  const way = Object.keys(WAYS)[n % Object.keys(WAYS).length];
  const ack = await ask('audio_data', WAYS[way](pcm));
  (told.acks[way] ??= []).push([ack.ok, ack.received_ms, (at + pcm.length) / 32]);
}
await text;
told.stop = await ask('stop_recording');
told.final = await final;
told.transport = socket.io.engine.transport.name;
socket.disconnect();
console.log(JSON.stringify(told));
