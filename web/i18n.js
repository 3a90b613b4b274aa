/** Every word the page says, in Chinese and English; the choice is remembered. */

const KEY = 'xingji.language';

export const WORDS = {
  skip: ['跳到录音按钮', 'Skip to the record button'],
  brand: ['星纪 ASR', 'Xingji ASR'],
  tagline: ['实时语音转写', 'Realtime transcription'],
  cancel: ['取消', 'Cancel'],
  save: ['保存', 'Save'],
  close: ['关闭', 'Close'],
  on: ['开', 'on'],
  off: ['关', 'off'],
  unknown: ['浏览器未说明', 'not reported'],

  connection_connecting: ['正在连接', 'Connecting'],
  connection_online: ['已连接', 'Connected'],
  connection_offline: ['连接中断，正在重连', 'Disconnected, retrying'],
  connection_unauthorized: ['需要 API 密钥', 'API key needed'],

  live_title: ['实时转写', 'Live transcript'],
  live_empty: ['按下按钮，说话时文字会出现在这里。', 'Press the button; text appears here while you speak.'],
  record_start: ['开始录音', 'Start recording'],
  record_stop: ['停止录音', 'Stop recording'],
  record_hint: ['点按开始与停止；按住说话，松开结束。空格键同样。', 'Click to start and stop, or hold while you speak. The space key works too.'],
  meter: ['麦克风音量', 'Microphone level'],
  legend_tentative: ['可能还会改', 'may change'],
  legend_closed: ['等待复检', 'awaiting second pass'],
  legend_settled: ['已定', 'settled'],
  phase_idle: ['', ''],
  phase_starting: ['正在打开麦克风', 'Opening the microphone'],
  phase_recording: ['正在录音', 'Recording'],
  phase_speaking: ['正在说话', 'Speech'],
  phase_finalizing: ['正在整理', 'Finishing'],
  phase_done: ['完成', 'Done'],
  phase_interrupted: ['已中断', 'Interrupted'],

  result_title: ['最终结果', 'Final result'],
  copy: ['复制', 'Copy'],
  copied: ['已复制', 'Copied'],
  copy_failed: ['无法复制', 'Cannot copy'],
  save_txt: ['存为 TXT', 'Save TXT'],
  save_json: ['存为 JSON', 'Save JSON'],
  layer_paraformer: ['Paraformer 流式', 'Paraformer, streaming'],
  layer_second: ['复检', 'Second pass'],
  layer_second_by: ['{who} 复检', '{who}, second pass'],
  and: ['、', ' and '],
  stood_in: ['所选模型没有结果的句子由后备模型复检', 'Another model stood in where the chosen one had no result'],
  layer_llm: ['LLM 纠错', 'LLM correction'],
  readings: ['各层读法', 'Readings'],
  layer_empty: ['（没有文字）', '(no text)'],
  characters: ['{n} 字', '{n} characters'],
  llm_used: ['由 {model} 纠错', 'Corrected by {model}'],
  llm_unused: ['未经 LLM，与上一层相同：{reason}', 'No LLM, same as the layer above: {reason}'],
  fallback_disabled: ['未启用', 'not enabled'],
  fallback_overloaded: ['服务器繁忙', 'server busy'],
  fallback_timeout: ['超时', 'timed out'],
  fallback_http_error: ['服务不可用', 'service unavailable'],
  fallback_rejected: ['改动未通过核对', 'its edits were rejected'],
  fallback_other: ['没有结果', 'no result'],
  final_error: ['部分结果缺失', 'Part of the result is missing'],
  no_speech: ['没有听到说话。', 'No speech was heard.'],

  sentences_title: ['逐句', 'Sentences'],
  stage_partial: ['识别中', 'partial'],
  stage_streamed: ['流式', 'streamed'],
  stage_second_pass: ['复检', 'second pass'],
  stage_corrected: ['纠错', 'corrected'],

  options_title: ['选项', 'Options'],
  option_language: ['语言', 'Language'],
  language_auto: ['自动', 'Automatic'],
  language_zh: ['中文', 'Chinese'],
  language_en: ['英语', 'English'],
  language_yue: ['粤语', 'Cantonese'],
  language_ja: ['日语', 'Japanese'],
  language_ko: ['韩语', 'Korean'],
  option_model: ['复检模型', 'Second-pass model'],
  option_fillers: ['去掉口头语', 'Leave out fillers'],
  option_fillers_why: ['嗯、呃、那个……不表示什么的字不写出来。', 'Sounds of thinking, such as um and 嗯, are not written.'],
  option_opus: ['压缩发送（Opus）', 'Send compressed (Opus)'],
  option_opus_why: ['浏览器先压缩再发送，流量约为八分之一；出字稍慢。', 'The browser encodes before it sends: about an eighth of the traffic, text a little later.'],
  option_punctuation: ['标点', 'Punctuation'],
  option_llm: ['LLM 纠错', 'LLM correction'],
  llm_not_configured: ['服务器没有配置 LLM。', 'No LLM is configured on the server.'],
  llm_unreachable: ['LLM 暂时连不上，纠错会被跳过。', 'The LLM cannot be reached; correction will be skipped.'],
  mic_title: ['麦克风处理', 'Microphone processing'],
  option_ns: ['降噪', 'Noise suppression'],
  option_ns_why: ['降噪会抹掉轻声和辅音，识别模型自己能应付噪声，所以默认关。', 'Suppression also removes soft speech and consonants; the models cope with noise themselves. Off by default.'],
  option_aec: ['回声消除', 'Echo cancellation'],
  option_aec_why: ['回声消除会改变音色；只有用扬声器外放别人的声音时才需要。', 'It colours the voice; needed only when other people are heard through a loudspeaker. Off by default.'],
  option_agc: ['自动增益', 'Automatic gain'],
  option_agc_why: ['自动增益让离麦克风远近不同的人音量接近，有助于判断一句话在哪里结束，所以默认开。', 'It evens out near and distant speakers, which helps to find where a sentence ends. On by default.'],
  mic_why: ['为什么这样默认', 'Why these defaults'],
  mic_settings_later: ['浏览器实际采用的设置会在录音开始后显示。', 'What the browser really applies is shown once recording starts.'],
  mic_device: ['设备', 'Device'],
  mic_rate: ['采样', 'Sampling'],

  upload_title: ['上传文件', 'Upload a file'],
  upload_choose: ['选择音频文件', 'Choose an audio file'],
  upload_formats: ['或拖到这里 · wav mp3 m4a flac ogg aac wma webm', 'or drop it here · wav mp3 m4a flac ogg aac wma webm'],
  upload_sending: ['正在上传 {name}：{percent}%', 'Uploading {name}: {percent}%'],
  upload_working: ['正在识别 {name}', 'Transcribing {name}'],
  upload_working_percent: ['正在识别 {name}：{percent}%', 'Transcribing {name}: {percent}%'],
  upload_done: ['{name} · {length} · {n} 字', '{name} · {length} · {n} characters'],
  upload_cancelled: ['已取消。', 'Cancelled.'],

  hotword_title: ['热词', 'Hotwords'],
  hotword_hint: ['每行一个：词 | 权重 1–100 | 常被听成的写法。后两项可省。', 'One per line: word | weight 1–100 | forms it is misheard as. The last two are optional.'],
  hotword_count: ['{n} 个', '{n}'],
  hotword_reload: ['重新读取', 'Read again'],
  hotword_saved: ['已保存，从下一句起生效。', 'Saved; in force from the next sentence.'],
  hotword_loaded: ['已读取。', 'Read.'],
  hotword_dirty: ['有未保存的改动。', 'There are unsaved changes.'],
  hotword_discard: ['丢弃未保存的改动？', 'Discard the unsaved changes?'],
  hotword_conflict: ['热词表已被别人改过。你的改动仍在框里；复制后点“重新读取”，再补上。', 'Somebody has changed the table. Your text is still here; copy it, read again, and add your changes.'],
  hotword_parts: ['第 {line} 行：要写成“词 | 权重 | 写法”。', 'Line {line}: write “word | weight | forms”.'],
  hotword_too_long: ['第 {line} 行：“{value}”超过 64 个字。', 'Line {line}: “{value}” is longer than 64 characters.'],
  hotword_control: ['第 {line} 行：含有控制字符。', 'Line {line}: contains a control character.'],
  hotword_weight: ['第 {line} 行：权重“{value}”不是 1–100 的整数。', 'Line {line}: weight “{value}” is not a whole number from 1 to 100.'],
  hotword_too_many: ['超过 50000 个。', 'More than 50,000 words.'],

  notice_llm: ['LLM 纠错已开：识别出的文字会发送到外部服务 {host}（{model}）。不想发送，请关掉“LLM 纠错”。', 'LLM correction is on: recognised text is sent to the external service {host} ({model}). Switch “LLM correction” off to keep it here.'],
  notice_loading: ['模型正在加载，稍等片刻即可开始。', 'Models are loading; you can start in a moment.'],
  notice_unreachable: ['连不上服务器，正在重试。', 'The server cannot be reached; retrying.'],
  notice_interrupted: ['连接在录音中断开，录音已停止。断开前听到的保留在下面；重连后会补上它的最终结果，然后可以重新开始。', 'The connection broke while recording, and recording has stopped. What was heard before stays below; its final result follows once reconnected, and then you can start again.'],
  notice_no_answer: ['服务器没有回应，录音没有开始。请再试一次。', 'The server did not answer and recording did not start. Please try again.'],
  notice_silent: ['五秒没有听到任何声音。请检查麦克风是否静音、是否选对了设备。', 'Nothing has been heard for five seconds. Check that the microphone is not muted and is the right one.'],
  notice_device_lost: ['麦克风断开了，录音已停止，结果照常整理。', 'The microphone went away; recording has stopped and the result is being finished.'],
  notice_unauthorized: ['这台服务器需要 API 密钥，这个浏览器会记住它。', 'This server asks for an API key; this browser will remember it.'],
  notice_wrong_key: ['API 密钥不对，请重新输入。', 'This API key is wrong; enter it again.'],
  key_label: ['API 密钥', 'API key'],
  key_use: ['使用', 'Use it'],
  stopped_max_duration: ['已到最长录音时间，录音自动停止。', 'The longest recording time was reached; recording stopped by itself.'],
  stopped_undecodable: ['音频无法再解码，录音自动停止。', 'The audio could not be decoded any further; recording stopped by itself.'],
  stopped_idle: ['太久没有收到声音，录音自动停止。', 'No audio arrived for too long; recording stopped by itself.'],
  stopped_server_shutdown: ['服务器正在关闭，录音已停止。', 'The server is shutting down; recording has stopped.'],

  mic_insecure: ['浏览器只允许安全的网页使用麦克风。请改用 https:// 打开本页，或在服务器本机用 http://localhost 打开。', 'Browsers give the microphone only to secure pages. Open this page with https://, or on the server itself with http://localhost.'],
  mic_unsupported: ['这个浏览器不能使用麦克风。请用新版 Chrome、Edge、Firefox 或 Safari；微信等应用里的页面请改用系统浏览器打开。', 'This browser offers no microphone. Use a current Chrome, Edge, Firefox or Safari, and not the browser inside another app.'],
  worklet_unsupported: ['浏览器太旧，缺少 AudioWorklet。请更新到新版 Chrome、Edge、Firefox 或 Safari。', 'The browser is too old: it lacks AudioWorklet. Update Chrome, Edge, Firefox or Safari.'],
  mic_denied: ['麦克风没有得到允许。请点地址栏左边的图标，允许使用麦克风；系统设置里也要允许浏览器使用。', 'The microphone is not allowed. Click the icon left of the address and allow it; the system settings must allow the browser too.'],
  mic_missing: ['没有找到麦克风。请接好设备再试。', 'No microphone was found. Connect one and try again.'],
  mic_in_use: ['麦克风打不开，可能被别的程序占用。请关掉占用它的程序再试。', 'The microphone cannot be opened; another program may hold it. Close that program and try again.'],
  mic_failed: ['录音没有启动成功。请刷新页面再试。', 'Recording could not start. Reload the page and try again.'],

  service: ['版本 {version} · 会话 {sessions}', 'Version {version} · sessions {sessions}'],
  error_unreachable: ['连不上服务器。', 'The server cannot be reached.'],
  error_other: ['服务器拒绝了请求（{code}）。', 'The server refused the request ({code}).'],
};

let language = initial();

function initial() {
  const chosen = globalThis.localStorage?.getItem(KEY);
  if (chosen === 'zh' || chosen === 'en') return chosen;
  return 'zh';
}

export const current = () => language;

export function choose(next) {
  language = next;
  localStorage.setItem(KEY, next);
}

/** The words for `key`, with `{name}` replaced from `values`. */
export function t(key, values = {}) {
  const text = WORDS[key][language === 'zh' ? 0 : 1];
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** Picks from texts that the server sent in both languages: `{zh, en}`, either of which may be missing. */
export function pick({ zh, en }) {
  return (language === 'zh' ? zh : en) ?? en ?? zh;
}

/** What to tell a person about an `ApiError` or an `error` event. */
export function describeError({ code, zh, en }) {
  if (zh || en) return pick({ zh, en });
  return code === 'unreachable' ? t('error_unreachable') : t('error_other', { code });
}

/** Writes the words into every element that names a key. */
export function applyTo(root) {
  root.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
  for (const element of root.querySelectorAll('[data-i18n]')) element.textContent = t(element.dataset.i18n);
  for (const element of root.querySelectorAll('[data-i18n-title]')) element.title = t(element.dataset.i18nTitle);
  for (const element of root.querySelectorAll('[data-i18n-aria-label]')) element.setAttribute('aria-label', t(element.dataset.i18nAriaLabel));
}
