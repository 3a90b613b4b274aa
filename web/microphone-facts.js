/** What the browser really does to the microphone, as it reports itself. */

import { h } from './dom.js';
import { t } from './i18n.js';

/** `facts` as from `Recorder.describe()`, or null before the first recording. */
export function renderFacts(list, facts) {
  if (facts === null) {
    list.replaceChildren(h('dd', { class: 'hint' }, t('mic_settings_later')));
    return;
  }
  const rows = [
    ['mic_device', facts.label || t('unknown')],
    ['mic_rate', ratePath(facts)],
    ['option_ns', onOff(facts.noiseSuppression)],
    ['option_aec', onOff(facts.echoCancellation)],
    ['option_agc', onOff(facts.autoGainControl)],
  ];
  list.replaceChildren(...rows.map(([key, value]) => h('div', {}, h('dt', {}, t(key)), h('dd', {}, value))));
}

/** From the device through the browser to what is sent: `48000 → 16000 Hz`. */
function ratePath({ sampleRate, contextRate }) {
  const steps = [sampleRate, contextRate, 16_000].filter((rate, index, all) => rate !== undefined && rate !== all[index - 1]);
  return `${steps.join(' → ')} Hz`;
}

/** Browsers say true or false; for echo cancellation newer ones may name the kind. */
function onOff(value) {
  if (value === undefined) return t('unknown');
  return typeof value === 'string' ? value : t(value ? 'on' : 'off');
}
