/**
 * One button, two habits: a short press toggles the recording, a long one records while it is held.
 * Pure: given presses and releases with their times, says whether to start or to stop.
 */

const HOLD_MS = 350;

export class Press {
  #downAt = null;
  #began = false; // this press started the recording

  /** Returns 'start', or null where the answer has to wait for the release. */
  down(now, recording) {
    if (this.#downAt !== null) return null; // key repeat, second finger
    this.#downAt = now;
    this.#began = !recording;
    return this.#began ? 'start' : null;
  }

  /** Returns 'stop' or null. */
  up(now) {
    if (this.#downAt === null) return null;
    const held = now - this.#downAt >= HOLD_MS;
    this.#downAt = null;
    return this.#began && !held ? null : 'stop';
  }
}

/**
 * Connects a button to `Press`: mouse, touch and pen on the button, the space key anywhere that is
 * not itself a control, Enter on the button, and the bare clicks that screen readers send.
 */
export function listenForPresses(button, { isRecording, start, stop }) {
  const press = new Press();
  const act = (verb) => (verb === 'start' ? start() : verb === 'stop' ? stop() : undefined);
  const down = () => act(press.down(performance.now(), isRecording()));
  const up = () => act(press.up(performance.now()));

  button.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    button.setPointerCapture(event.pointerId);
    down();
  });
  button.addEventListener('pointerup', up);
  button.addEventListener('pointercancel', up);
  button.addEventListener('contextmenu', (event) => event.preventDefault()); // a long touch opens it
  button.addEventListener('click', (event) => {
    if (event.detail === 0) act(isRecording() ? 'stop' : 'start');
  });

  const owns = (event) =>
    event.target === button ? event.code === 'Space' || event.code === 'Enter' : event.code === 'Space' && !isControl(event.target);
  document.addEventListener('keydown', (event) => {
    if (!owns(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault(); // no scrolling, and no click on top of the press
    if (!event.repeat) down();
  });
  document.addEventListener('keyup', (event) => {
    if (!owns(event)) return;
    event.preventDefault();
    up();
  });
  window.addEventListener('blur', up); // the release would go to another window
}

const isControl = (element) => element instanceof Element && element.closest('a, button, input, select, textarea, summary, label') !== null;
