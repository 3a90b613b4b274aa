"""What ``session.update`` of Qwen's realtime recognition may ask."""

from collections.abc import Mapping
from typing import Any

from .realtime import Invalid, whole

CODECS = {"pcm": "s16le", "pcm16": "s16le", "wav": "pcm", "opus": "opus"}
RATES = (8_000, 48_000)
SILENCES = (200, 6_000)  # ms


def read_options(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are known and given. Raises Invalid."""
    found: dict[str, Any] = {}
    format, rate = asked.get("input_audio_format"), asked.get("sample_rate")
    if isinstance(audio := asked.get("audio"), dict):  # the newer form
        wanted = audio.get("input", {}).get("format", {}) if isinstance(audio.get("input", {}), dict) else None
        if not isinstance(wanted, dict):
            raise Invalid("invalid_value", "应为对象。 must be an object.", "audio.input.format")
        format, rate = wanted.get("type", format), wanted.get("sample_rate", rate)
    if format is not None:
        if format not in CODECS:
            raise Invalid("invalid_value", "不支持的音频格式。 Unsupported audio format.", "input_audio_format")
        found["input_audio_format"] = format
    if rate is not None:
        found["sample_rate"] = whole(rate, RATES, "sample_rate")
    if "input_audio_transcription" in asked:
        transcription = asked["input_audio_transcription"]
        if not isinstance(transcription, dict | None):
            raise Invalid("invalid_value", "应为对象。 must be an object.", "input_audio_transcription")
        if not isinstance((transcription or {}).get("language"), str | None):
            raise Invalid("invalid_value", "应为字符串。 must be a string.", "input_audio_transcription.language")
        found["input_audio_transcription"] = transcription
    if "turn_detection" in asked:
        found["turn_detection"] = _turn_detection(asked["turn_detection"])
    return found


def _turn_detection(asked: object) -> dict[str, Any] | None:
    if asked is None:
        return None
    if not isinstance(asked, dict) or asked.get("type", "server_vad") != "server_vad":
        raise Invalid("invalid_value", "应为 null 或 server_vad。 must be null or server_vad.", "turn_detection")
    silence = asked.get("silence_duration_ms", 800)
    threshold = asked.get("threshold", 0.2)
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not -1 <= threshold <= 1:
        raise Invalid("invalid_value", "应为 -1 到 1。 must be -1 to 1.", "turn_detection.threshold")
    checked = {"type": "server_vad", "threshold": threshold}
    return {**asked, **checked, "silence_duration_ms": whole(silence, SILENCES, "turn_detection.silence_duration_ms")}
