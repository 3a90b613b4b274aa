/** 文件：浏览器能播放的都能读。 Files: whatever this browser can play. */

import { toInt16 } from './resampler.js';

const RATE = 16_000;
const FRAME = RATE / 10;

/**
 * 解码成 16 kHz 16 位单声道。 Decodes to 16 kHz mono; rejects with a DOMException where the browser cannot.
 * 整个文件在内存里：很长的录音请上传。 The whole file is in memory: upload very long recordings instead.
 * @param {Blob} file
 * @returns {Promise<Int16Array>}
 */
export async function decode(file) {
  const audio = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
  const channels = Array.from({ length: audio.numberOfChannels }, (_, k) => audio.getChannelData(k));
  const mixed = channels.length === 1 ? channels[0] : channels[0].map((_, n) => channels.reduce((sum, one) => sum + one[n], 0) / channels.length);
  return toInt16(mixed);
}

/**
 * 一包包发给正在录音的客户端。 Sends samples to a client that records, in frames of 100 ms.
 * @param {import('./AsrClient.js').AsrClient} client
 * @param {Int16Array} samples
 * @param {{realtime?: boolean, onProgress?: (fraction: number) => void}} [options]  `realtime`：按播放的速度，否则尽快 · as fast as it
 *   is spoken, else as fast as the server accepts
 */
export async function play(client, samples, { realtime = false, onProgress = () => {} } = {}) {
  const begun = performance.now();
  for (let at = 0; at < samples.length; at += FRAME) {
    const due = begun + (at * 1_000) / RATE - performance.now();
    if (realtime && due > 0) await new Promise((resolve) => { setTimeout(resolve, due); });
    await client.send(samples.slice(at, at + FRAME));
    onProgress(Math.min(1, (at + FRAME) / samples.length));
  }
}
