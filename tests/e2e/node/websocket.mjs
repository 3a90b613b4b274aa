/**
 * One sentence over a raw WebSocket by `ws`, the package that socket.io-client brings: `node websocket.mjs URL WAV
 * FIRST LAST`. Sends FIRST (may be empty), the audio as a Buffer, an ArrayBuffer and a view in turn, then LAST, and
 * prints all that it was told up to the first message with `is_final`.
 */

import { readFile } from 'node:fs/promises';
import { WebSocket } from 'ws';

const [url, wav, first, last] = process.argv.slice(2);
const WAYS = [
  (pcm) => pcm,
  (pcm) => pcm.buffer.slice(pcm.byteOffset, pcm.byteOffset + pcm.length),
  (pcm) => new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.length),
];

const socket = new WebSocket(url);
const told = [];
socket.on('open', async () => {
  const pcm = (await readFile(wav)).subarray(44);
  if (first) socket.send(first);
  for (let at = 0, count = 0; at < pcm.length; at += 3200, count += 1) {
    socket.send(WAYS[count % WAYS.length](pcm.subarray(at, at + 3200)));
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
  socket.send(last);
});
socket.on('message', (data, isBinary) => {
  if (isBinary) throw new Error('binary');
  told.push(JSON.parse(data));
  if (told.at(-1).is_final) socket.close();
});
socket.on('close', () => console.log(JSON.stringify({ told, extensions: socket.extensions })));
