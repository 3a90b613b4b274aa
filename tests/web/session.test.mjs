/** The order on the wire: start, then every frame from the first on, then stop. */

import './browser.mjs';
import assert from 'node:assert/strict';
import { test } from 'node:test';

const { Session } = await import('../../web/session.js');

function open() {
  const handlers = {};
  const line = { sent: [], events: [], connection: [], say: (name, data) => handlers[name](data) };
  const socket = { connected: true, id: 'sid', on: (name, handler) => { handlers[name] = handler; }, emit: (...args) => line.sent.push(args) };
  line.session = new Session({
    onEvent: (event) => line.events.push(event),
    onConnection: (state) => line.connection.push(state),
    connect: (options) => { line.options = options; return socket; },
  });
  return line;
}

test('websocket first, below the address of the page', () => {
  const { options } = open();
  assert.equal(options.transports[0], 'websocket');
  assert.equal(options.path, '/asr/socket.io/');
});

test('frames wait for recording_started and keep their order; stop is last', () => {
  const { session, sent, say } = open();
  session.send('before start');
  session.start({ llm: false });
  session.send('a');
  assert.deepEqual(sent, [['start_recording', { llm: false }]]);
  say('recording_started', { recording_id: 'r' });
  session.send('b');
  session.stop();
  assert.deepEqual(sent.slice(1), [['audio_data', 'before start'], ['audio_data', 'a'], ['audio_data', 'b'], ['stop_recording']]);
});

test('a stop before the server has answered waits for its turn', () => {
  const { session, sent, say } = open();
  session.start({});
  session.send('a');
  session.stop();
  assert.equal(sent.length, 1);
  say('recording_started', {});
  assert.deepEqual(sent.slice(1), [['audio_data', 'a'], ['stop_recording']]);
});

test('what was held for a recording that failed is not sent with the next', () => {
  const { session, sent, say } = open();
  session.start({});
  session.send('old');
  session.stop();
  session.forget();
  session.start({});
  say('recording_started', {});
  assert.deepEqual(sent, [['start_recording', {}], ['start_recording', {}]]);
});

test('events are handed on with their names, the state of the line in words', () => {
  const { events, connection, say } = open();
  say('connect');
  say('transcription', { full_text: '好' });
  say('error');
  say('disconnect');
  say('connect_error', { data: { code: 'unauthorized' } });
  say('connect_error', new Error('refused'));
  assert.deepEqual(events, [{ name: 'transcription', data: { full_text: '好' } }, { name: 'error', data: {} }]);
  assert.deepEqual(connection, ['connecting', 'online', 'offline', 'unauthorized', 'offline']);
});
