/** Puts the page together: who hears whom. The only file that knows every part. */

import { AsrClient } from '../clients/web/AsrClient.js';
import { apiKey, setApiKey } from './access.js';
import { findObstacle, microphonePermission } from './checks.js';
import { byId, h } from './dom.js';
import { copy, download, fileStamp, toJson, toText } from './exports.js';
import { HealthWatch } from './health.js';
import { HotwordPanel } from './hotwords.js';
import { applyTo, choose, current, t } from './i18n.js';
import { Meter } from './meter.js';
import { Models } from './models.js';
import { renderFacts } from './microphone-facts.js';
import { Notices } from './notices.js';
import { listenForPresses } from './press.js';
import { Recording } from './recording.js';
import { Settings } from './settings.js';
import { UploadPanel } from './upload.js';
import { io } from './vendor/socket.io.esm.min.js';
import { View } from './view.js';

const FRAME_MS = 100;

let recordedMs = 0;
let microphone = null;

const view = new View((id) => models.name(id));
const meter = new Meter(byId('meter'));
const notices = new Notices(byId('notices'));
const settings = new Settings(byId('options'), () => health.render());
const health = new HealthWatch(settings, notices);
const models = new Models(settings);
const hotwords = new HotwordPanel();
const upload = new UploadPanel(() => ({ ...settings.common, session_id: client.id ?? '' }));
const client = new AsrClient({ io, apiKey, onEvent: receive, onState: show, onConnection: showConnection, onInterrupted: () => recording.onInterrupted() });
const recording = new Recording({ client, settings, notices, onFrame: measure, onMicrophone: showMicrophone });

function show(state) {
  if (state.phase === 'starting') recordedMs = 0;
  if (state.phase !== 'recording') meter.clear();
  view.render(state, recordedMs);
}

function receive(event) {
  const ours = !event.data.recording_id || event.data.recording_id === client.state.recordingId;
  if (event.name === 'processing_progress' && !(ours && client.state.phase === 'finalizing')) upload.onProgress(event.data.progress);
  recording.onEvent(event);
}

function measure(frame) {
  recordedMs += FRAME_MS;
  if (meter.push(frame)) notices.show('silent', { tone: 'warning', text: () => t('notice_silent') });
  else notices.clear('silent');
  view.tick(client.state, recordedMs);
}

function showMicrophone(facts) {
  microphone = facts;
  renderFacts(byId('mic-settings'), microphone);
}

function showConnection(line) {
  const pill = byId('connection');
  pill.dataset.state = line;
  pill.dataset.i18n = `connection_${line}`;
  pill.textContent = t(pill.dataset.i18n);
  if (line === 'online') {
    notices.clear('unauthorized');
    health.check();
    hotwords.load();
    models.load();
  }
  if (line === 'unauthorized') notices.show('unauthorized', { tone: 'warning', text: () => t(apiKey() ? 'notice_wrong_key' : 'notice_unauthorized'), extra: keyForm, lasting: true });
}

function keyForm() {
  const input = h('input', { type: 'password', placeholder: t('key_label'), 'aria-label': t('key_label'), 'data-testid': 'api-key', autocomplete: 'off', required: true });
  const form = h('form', { class: 'api-key' }, input, h('button', {}, t('key_use')));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    setApiKey(input.value.trim());
    client.reconnect();
  });
  return form;
}

function speak() {
  applyTo(document);
  byId('language-switch').textContent = current() === 'zh' ? 'English' : '中文';
  byId('language-switch').lang = current() === 'zh' ? 'en' : 'zh-CN';
  view.render(client.state, recordedMs);
  renderFacts(byId('mic-settings'), microphone);
  for (const part of [notices, health, upload, hotwords]) part.render();
}

async function warnEarly() {
  const obstacle = findObstacle() ?? ((await microphonePermission()) === 'denied' ? 'mic_denied' : null);
  if (obstacle) notices.show('microphone', { tone: 'error', text: () => t(obstacle) });
}

const outcome = () => ({ text: client.state.final.llm_merged, timestamps: client.state.final.timestamps });
const fileName = (extension) => `${t('brand')} ${fileStamp(new Date())}.${extension}`;

listenForPresses(byId('record'), {
  isRecording: () => recording.wanted,
  start: () => recording.start(),
  stop: () => recording.stop(),
});
byId('language-switch').addEventListener('click', () => {
  choose(current() === 'zh' ? 'en' : 'zh');
  speak();
});
byId('copy').addEventListener('click', async ({ currentTarget }) => {
  currentTarget.textContent = t((await copy(client.state.final.llm_merged)) ? 'copied' : 'copy_failed');
  setTimeout(() => { currentTarget.textContent = t('copy'); }, 2_000);
});
byId('save-txt').addEventListener('click', () => download(fileName('txt'), 'text/plain', toText(outcome())));
byId('save-json').addEventListener('click', () => download(fileName('json'), 'application/json', toJson(client.state.final)));

speak();
warnEarly();
health.check();
client.connect().catch(() => {}); // the line above the page says how it stands
