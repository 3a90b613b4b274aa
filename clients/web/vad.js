/**
 * vad-web 在浏览器里判停，整句发给 /ws/asr（docs/protocols/simple.md）。 vad-web finds the sentences in the browser and
 * `/ws/asr` transcribes them whole. `make setup` fetches vad-web and what it loads; nothing comes from elsewhere.
 */

import { apiKey } from '../../static/access.js'; // what the page was told, or vad.html#token=…
import { toInt16 } from './resampler.js';

const ASSETS = new URL('vad-web/', document.baseURI).href;
const SETTINGS = {
  model: 'legacy', // steps of 96 ms
  positiveSpeechThreshold: 0.8,
  negativeSpeechThreshold: 0.5,
  minSpeechMs: 480, // five steps: shorter is no sentence
  redemptionMs: 800,
  submitUserSpeechOnPause: true,
};
const FILTERS = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true }; // as on the page: the models cope with noise

const byId = (id) => document.getElementById(id);

let socket = null;
let sent = 0; // sentences on this connection; results carry their number
let rows = [];

function say(text, tone = 'info') {
  byId('status').textContent = text;
  byId('status').dataset.tone = tone;
}

/** An open socket; a closed one is replaced, and numbers begin again. */
async function connected() {
  if (socket?.readyState === WebSocket.OPEN) return socket;
  const address = new URL('../../ws/asr?events=1', document.baseURI);
  address.protocol = address.protocol.replace('http', 'ws');
  if (apiKey()) address.searchParams.set('token', apiKey());
  socket = new WebSocket(address);
  socket.onmessage = ({ data }) => hear(JSON.parse(data));
  [sent, rows] = [0, []];
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onclose = () => reject(new Error('连不上服务器 the server cannot be reached'));
  });
  socket.onclose = () => say('连接断开，下一句会重连 disconnected; the next sentence connects again', 'error');
  return socket;
}

function hear({ type, id, text, code, message }) {
  const row = rows[id - 1];
  if (type === 'partial') row.textContent = `${text}…`;
  if (type === 'result') {
    row.textContent = text;
    row.dataset.settled = 'true';
  }
  if (type === 'error') {
    if (row) row.textContent = `${code}：${message}`;
    else say(`${code}：${message}`, 'error');
  }
}

/** @param {Float32Array} audio  16 kHz, one sentence with some silence around it */
async function send(audio) {
  try {
    const line = await connected();
    rows[sent] = byId('sentences').appendChild(document.createElement('li'));
    rows[sent].textContent = '…';
    sent += 1;
    line.send(toInt16(audio).buffer);
    line.send(JSON.stringify({ type: 'speech_end' }));
  } catch (error) {
    say(error.message, 'error');
  }
}

/** vad-web is a classic script that leaves `vad` behind. */
function load() {
  return new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = `${ASSETS}bundle.min.js`;
    script.onload = () => resolve(globalThis.vad);
    script.onerror = () => reject(new Error('没有 vad-web：在服务器上装好 npm 再运行 make setup。 vad-web is missing: with npm on the server, run make setup.'));
    document.head.append(script);
  });
}

const openMicrophone = () => navigator.mediaDevices.getUserMedia({ audio: FILTERS });

async function begin() {
  const { MicVAD } = await load();
  const microphone = await MicVAD.new({
    ...SETTINGS,
    baseAssetPath: ASSETS,
    onnxWASMBasePath: ASSETS,
    ortConfig: (ort) => { ort.env.wasm.numThreads = 1; ort.env.logLevel = 'error'; }, // more need cross-origin isolation
    startOnLoad: false,
    getStream: openMicrophone,
    resumeStream: openMicrophone,
    onSpeechStart: () => say('在说话 speech'),
    onSpeechEnd: (audio) => { say('在听 listening'); send(audio); },
    onVADMisfire: () => say('太短，不算一句 too short to be a sentence'),
  });
  const button = byId('listen');
  button.disabled = false;
  say('就绪 ready');
  button.addEventListener('click', async () => {
    const starting = button.getAttribute('aria-pressed') === 'false';
    button.setAttribute('aria-pressed', String(starting));
    try {
      await (starting ? Promise.all([connected(), microphone.start()]) : microphone.pause());
      say(starting ? '在听 listening' : '已停 stopped');
    } catch (error) {
      button.setAttribute('aria-pressed', 'false');
      say(error.message, 'error');
    }
  });
}

begin().catch((error) => say(error.message, 'error'));
