/** Whether this browser, at this address, can record; and if not, why. Codes are keys of the dictionary. */

/** The first obstacle that can be seen without asking the user for anything, or null. */
export function findObstacle(scope = window) {
  if (!scope.isSecureContext) return 'mic_insecure';
  if (!scope.navigator.mediaDevices?.getUserMedia) return 'mic_unsupported';
  if (!scope.AudioContext || !scope.AudioWorkletNode) return 'worklet_unsupported';
  return null;
}

/** What a failed `getUserMedia` or audio set-up means (MDN, MediaDevices.getUserMedia, exceptions). */
export function explain(error) {
  switch (error?.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'mic_denied';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'mic_missing';
    case 'NotReadableError':
      return 'mic_in_use';
    default:
      return 'mic_failed';
  }
}

/** 'granted', 'denied', 'prompt', or 'unknown' where the browser does not tell. */
export async function microphonePermission() {
  try {
    return (await navigator.permissions.query({ name: 'microphone' })).state;
  } catch {
    return 'unknown'; // Firefox before 132 has no such permission name
  }
}
