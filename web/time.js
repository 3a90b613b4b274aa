/** Milliseconds as people read them. */

/** 0:07, 12:03, 1:00:00 */
export function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h > 0 ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
}

/** 0:07.3, to a tenth of a second, rounded down */
export function stamp(ms) {
  return `${clock(ms)}.${Math.floor(ms / 100) % 10}`;
}

/** 0:07.3 – 0:09.1; an end that is not known yet stays open */
export function range(startMs, endMs) {
  return `${stamp(startMs)} – ${endMs === null ? '…' : stamp(endMs)}`;
}

const pad = (n) => String(n).padStart(2, '0');
