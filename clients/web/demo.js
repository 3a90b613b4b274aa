/** AsrClient.js 的用法示例。 How AsrClient.js is used: microphone or file, either protocol. */

import { io } from '../../static/vendor/socket.io.esm.min.js'; // on your own page, npm's socket.io-client
import { AsrClient, AsrError, decode, Microphone, pieces, play } from './AsrClient.js';

const BASE = new URL('../../', document.baseURI); // where the server's own page is

const byId = (id) => document.getElementById(id);
const options = byId('options').elements;

let client = null;
let microphone = null;

function connect() {
  client?.close();
  client = new AsrClient({
    url: BASE.href,
    protocol: options.protocol.value,
    io,
    apiKey: options.apiKey.value || null,
    onState: show,
    onError: (error) => say(`${error.code}：${error.message}`, 'error'),
    onInterrupted: ({ acceptedMs, pending }) => {
      stopMicrophone();
      say(`断线 connection lost：${acceptedMs} ms 已送达 delivered，${pending.length} 包未送达 frames not`, 'error');
    },
    onResult: ({ text, interrupted }) => {
      stopMicrophone(); // the server may have ended it
      byId('result').textContent = text;
      say(interrupted ? '断线前的结果 result up to the break' : '完成 done');
    },
  });
}

function wishes(format) {
  const hotwords = options.hotwords.value.split(/[,，、\s]+/).filter((word) => word !== '');
  return { format, hotwords };
}

async function record() {
  connect();
  client.prepare(); // frames may come before the server has answered
  try {
    microphone = await Microphone.open({ compressed: options.compressed.checked, onFrame: (frame) => client.send(frame), onEnded: finish });
    byId('record').setAttribute('aria-pressed', 'true');
    await client.start(wishes(microphone.format));
    say(`正在录音 recording（${microphone.format}）`);
  } catch (error) {
    fail(error);
  }
}

async function finish() {
  const last = microphone;
  microphone = null;
  byId('record').setAttribute('aria-pressed', 'false');
  await last?.stop();
  await client.stop().catch(fail);
}

async function send(file) {
  const bar = byId('progress');
  connect();
  try {
    const samples = await decode(file);
    await client.start(wishes('s16le'));
    say(`正在发送 sending ${file.name}`);
    bar.hidden = false;
    await play(client, samples, { realtime: options.realtime.checked, onProgress: (done) => { bar.value = done; } });
    await client.stop();
  } catch (error) {
    fail(error);
  }
  bar.hidden = true;
}

function fail(error) {
  stopMicrophone();
  client.cancel();
  say(error instanceof AsrError && error.message !== error.code ? `${error.code}：${error.message}` : error.message, 'error');
}

function stopMicrophone() {
  microphone?.discard();
  microphone = null;
  byId('record').setAttribute('aria-pressed', 'false');
}

function say(text, tone = 'info') {
  byId('status').textContent = text;
  byId('status').dataset.tone = tone;
}

function element(tag, data, ...children) {
  const made = document.createElement(tag);
  Object.assign(made.dataset, data);
  made.append(...children);
  return made;
}

function show(state) {
  if (state.phase === 'starting') byId('result').textContent = '';
  if (state.phase === 'finalizing') say('正在整理 finishing');
  byId('live').replaceChildren(...pieces(state).map(({ text, firmness }) => element('span', { firmness }, text)));
  byId('sentences').replaceChildren(...state.sentences.map(({ text, stage, settled, startMs, endMs }) => (
    element('li', { stage, settled }, text, element('small', {}, `${stage} ${startMs}–${endMs ?? '…'} ms`))
  )));
}

byId('record').addEventListener('click', () => (microphone ? finish() : record()));
byId('file').addEventListener('change', ({ target }) => {
  if (target.files[0]) send(target.files[0]);
  target.value = '';
});
