"""Our own events on Socket.IO, port 5006: what clients are told. ``socketio_read`` reads what they send.

A message is an event name and a JSON object. Times are milliseconds, sentence ids count from 1.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..core.errors import XingjiError
from ..core.messages import (
    Completed,
    Event,
    SentenceDropped,
    SentenceReadings,
    SentenceRevised,
    SentenceSettled,
    SpeechEnded,
    SpeechStarted,
)
from ..core.transcript import join, parted, pieces
from ..core.types import HotwordHit, RejectedEdit, Sentence, Stage
from . import Open, milliseconds

Message = tuple[str, dict[str, Any]]

PROTOCOL_VERSION = 1
SOURCES = {
    Stage.PARTIAL: "paraformer",
    Stage.STREAMED: "paraformer",
    Stage.SECOND_PASS: "sensevoice",
    Stage.CORRECTED: "llm",
}
FALLBACKS = {"circuit_open": "http_error"}  # what the corrector calls it -> what the event calls it


def source(sentence: Sentence) -> str:
    """Which engine the text of a sentence is from."""
    stage = Stage.SECOND_PASS if sentence.previewed else sentence.stage
    second = sentence.second_by if stage is Stage.SECOND_PASS else ""
    return second or SOURCES[stage]


def write_error(error: XingjiError, recording_id: str | None = None) -> Message:
    body: dict[str, Any] = {
        "message": error.meaning.zh,
        "message_en": error.meaning.en,
        "code": error.code,
        "retryable": error.meaning.retryable,
        "fatal": error.meaning.fatal,
        **error.detail,
    }
    if error.field is not None:
        body["field"] = error.field
    if recording_id is not None:
        body["recording_id"] = recording_id
    return "error", body


class SocketIoWire:
    """The codec of one connection."""

    def recording(
        self, recording_id: str, opened: Open, llm_model: str | None, backup_id: Callable[[], str | None]
    ) -> "Recording":
        return Recording(recording_id, opened, llm_model, backup_id)

    def error(self, error: XingjiError, recording_id: str | None) -> Message:
        return write_error(error, recording_id)


class Recording:
    """Encodes one recording's events. Called in the order in which its messages are sent."""

    def __init__(
        self,
        recording_id: str,
        opened: Open,
        llm_model: str | None,
        backup_id: Callable[[], str | None],
    ) -> None:
        """``backup_id`` is asked when the final result is told."""
        self.id = recording_id
        self._wishes, self._rate = opened.wishes, opened.format.rate
        self._codec = opened.format.codec
        self._backup_id = backup_id
        self._llm_model = llm_model  # None: correction is off for this recording
        self._seq = 0
        self._shown: dict[int, Sentence] = {}  # in order of ids
        self._streamed: dict[int, str] = {}  # bare streaming text already sent, by sentence
        self._speaking = False
        self._progress: int | None = None  # None until stopped
        self._position = 0
        self._received = 0  # samples, known once stopped

    def started(self) -> Message:
        wishes = self._wishes
        body: dict[str, Any] = {
            "status": "ok",
            "recording_id": self.id,
            "sample_rate": self._rate,
            "config": {
                "format": self._codec,
                "language": wishes.language,
                "punctuation": wishes.punctuation,
                "itn": wishes.itn,
                "remove_fillers": wishes.remove_fillers,
                "second_pass": wishes.second_pass,
                "llm": self._llm_model is not None,
                "partials": wishes.partials,
                "max_sentence_silence_ms": milliseconds(wishes.pace.end_silence),
                "max_sentence_ms": milliseconds(wishes.pace.longest),
                "preroll_ms": milliseconds(wishes.pace.preroll),
                "hotwords": len(wishes.hotwords),
                "hotword_table": wishes.hotword_table,
                "model": wishes.model,
            },
        }
        if wishes.client_recording_id is not None:
            body["client_recording_id"] = wishes.client_recording_id
        return "recording_started", body

    def stopped(self, reason: str, received: int, received_bytes: int) -> Message:
        self._progress, self._received = 0, received
        return "recording_stopped", {
            "message": "录音已停止",
            "recording_id": self.id,
            "duration_ms": milliseconds(received),
            "received_bytes": received_bytes,
            "reason": reason,
        }

    def cancelled(self) -> Message:
        return "recording_cancelled", {"recording_id": self.id}

    def encode(self, event: Event, position: int, done: float) -> Iterator[Message]:
        """``position``: samples judged so far; ``done``: 0..1, how much of the audio is settled."""
        self._position = max(self._position, position)
        match event:
            case SpeechStarted(_, at):
                self._speaking = True
                yield self._transcription(vad={"type": "start", "time": milliseconds(at)})
            case SpeechEnded(_, span):
                self._speaking = False
                yield self._transcription(vad={"type": "end", "time": milliseconds(span.end)})
            case SentenceRevised(sentence):
                yield from self._revised(sentence)
            case SentenceDropped(id):
                self._streamed.pop(id, None)
                if gone := self._shown.pop(id, None):
                    yield self._transcription(sentence=replace(gone, text="", stable=0, revision=gone.revision + 1))
                yield from self._progressed(done)
            case SentenceSettled(sentence, readings):
                yield self._segment_result(sentence, readings)
                yield from self._progressed(done)
            case Completed():
                yield from self._progressed(1.0)
                yield self.final(event)

    def final(self, event: Completed | None) -> Message:
        """``final_result``; None where a defect of ours ended the recording: what was shown stands."""
        if event is None:
            sentences = tuple(self._shown.values())
            readings = tuple(SentenceReadings({s.stage: s.text}) for s in sentences)
            length = self._received
        else:
            sentences, readings, length = event.sentences, event.readings, event.length
        return "final_result", final_result(
            self.id,
            sentences,
            readings,
            length,
            self._llm_model,
            failed=event is None,
            backup_id=self._backup_id(),
        )

    def _revised(self, sentence: Sentence) -> Iterator[Message]:
        if sentence.stage is Stage.PARTIAL and not self._wishes.partials:
            return
        self._shown[sentence.id] = sentence
        self._shown = dict(sorted(self._shown.items()))
        new, segment = "", None
        if sentence.stage <= Stage.STREAMED:
            now, before = sentence.bare, self._streamed.get(sentence.id, "")
            new, self._streamed[sentence.id] = now[len(before) :], now
        closed = sentence.text if sentence.stage == Stage.STREAMED else ""
        if closed and sentence.end is not None:
            segment = _timed(closed, sentence.start, sentence.end)
        yield self._transcription(new, closed, segment, sentence)
        if sentence.stage >= Stage.SECOND_PASS:
            self._streamed.pop(sentence.id, None)
            yield self._segment_result(sentence, None)

    def _progressed(self, done: float) -> Iterator[Message]:
        percent = int(done * 100)
        if self._progress is not None and percent > self._progress:
            self._progress = percent
            yield "processing_progress", {"progress": percent, "recording_id": self.id}

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def _transcription(
        self,
        text: str = "",
        punc_text: str = "",
        segment: dict[str, Any] | None = None,
        sentence: Sentence | None = None,
        vad: dict[str, Any] | None = None,
    ) -> Message:
        body: dict[str, Any] = {
            "text": text,
            "punc_text": punc_text,
            "full_text": join(s.text for s in self._shown.values()),
            "is_final": False,
            "vad_event": vad,
            "is_speech_active": self._speaking,
            "segment": segment,
            "current_time_ms": milliseconds(self._position),
            "recording_id": self.id,
            "event_seq": self._next(),
            "sentence": None,
        }
        if sentence is not None:
            body["sentence"] = _sentence(sentence) | {"stable_chars": sentence.stable}
        return "transcription", body

    def _segment_result(self, sentence: Sentence, readings: SentenceReadings | None) -> Message:
        """``readings``: of a settled sentence."""
        detail = _sentence(sentence) | {
            "source": source(sentence),
            "fallback": sentence.fallback,
            "language": sentence.language,
            "settled": readings is not None,
            "missing": [stage.name.lower() for stage in sentence.missing],
            "hotword_hits": [_hit(hit) for hit in sentence.hotword_hits],
            **_heard(sentence),
            **({} if readings is None else _provenance(sentence, readings)),
        }
        return "segment_result", {"recording_id": self.id, "event_seq": self._next(), "sentence": detail}


def final_result(
    recording_id: str,
    sentences: tuple[Sentence, ...],
    readings: tuple[SentenceReadings, ...],
    length: int,
    llm_model: str | None,
    failed: bool = False,
    backup_id: str | None = None,
) -> dict[str, Any]:
    """The body of ``final_result``. ``length`` in samples; ``failed``: a defect of ours cut the recording short."""
    told = [(s, r) for s, r in zip(sentences, readings, strict=True) if s.text]
    best = list(pieces(s.text for s, _ in told))
    streamed = list(pieces(_streamed(r) for _, r in told))
    layers = {
        "paraformer": "".join(streamed),
        "sensevoice": join(r.readings.get(Stage.SECOND_PASS, "") for _, r in told),
        "llm_merged": "".join(best),
    }
    # Also of sentences that were left without text. A recogniser that heard no words, or none to be believed, has
    # not failed.
    lost = {stage for r in readings for stage, reason in r.lost if reason not in ("empty", "implausible")}
    error = None
    if failed:
        error = XingjiError("internal")
    elif lost & {Stage.STREAMED, Stage.SECOND_PASS}:
        error = XingjiError("backend_failed")
    return {
        **layers,
        **{f"{name}_length": len(text) for name, text in layers.items()},
        "timestamps": timestamps([s for s, _ in told]),
        "realtime_segments": [
            _timed(text, s.start, s.end) for (s, _), text in zip(told, streamed, strict=True) if text
        ],
        "recording_id": recording_id,
        "duration_ms": milliseconds(length),
        "sentences": [_final_sentence(s, r) for s, r in told],
        "llm": _llm(told, llm_model),
        "backup_audio_id": backup_id,
        "error": error.meaning.zh if error else None,
        "error_code": error.code if error else None,
    }


def _llm(told: list[tuple[Sentence, SentenceReadings]], model: str | None) -> dict[str, Any]:
    lost = [reason for _, r in told for stage, reason in r.lost if stage is Stage.CORRECTED]
    reasons = [reason for reason in lost if reason != "empty"]
    fallback = "disabled" if model is None else FALLBACKS.get(reasons[0], reasons[0]) if reasons else None
    return {
        "used": any(s.stage is Stage.CORRECTED for s, _ in told),
        "model": model,
        "fallback": fallback,
        "rejected_edits": sum(len(r.rejected) for _, r in told),
    }


def _final_sentence(sentence: Sentence, readings: SentenceReadings) -> dict[str, Any]:
    return _sentence(sentence) | {
        "source": source(sentence),
        "fallback": sentence.fallback,
        "language": sentence.language,
        "hotword_hits": [_hit(hit) for hit in sentence.hotword_hits],
        "missing": [stage.name.lower() for stage in sentence.missing],
        **_heard(sentence),
        **_provenance(sentence, readings),
    }


def _provenance(sentence: Sentence, readings: SentenceReadings) -> dict[str, Any]:
    """Where the text of a settled sentence came from."""
    return {
        "readings": {source(replace(sentence, stage=stage)): text for stage, text in readings.readings.items()},
        "edits": [
            {"from": item.replaced, "to": item.edit.replacement, "reason": item.reason} for item in readings.edits
        ],
        "rejected": [_refused(item, _corrected(readings)) for item in readings.rejected],
    }


def timestamps(sentences: Sequence[Sentence]) -> list[dict[str, Any]]:
    """Each sentence, or its parts where marks end sentences within it; the texts together are the whole text."""
    return [_timed(text, span.start, span.end) for _, text, span in parted(sentences)]


def _corrected(readings: SentenceReadings) -> str:
    """The text that the corrector was given."""
    return readings.readings.get(Stage.SECOND_PASS) or _streamed(readings)


def _refused(item: RejectedEdit, text: str) -> dict[str, Any]:
    edit = item.edit
    return {"from": text[max(0, edit.start) : max(0, edit.end)], "to": edit.replacement, "reason": item.reason}


def _streamed(readings: SentenceReadings) -> str:
    return readings.readings.get(Stage.STREAMED) or readings.readings.get(Stage.PARTIAL, "")


def _sentence(sentence: Sentence) -> dict[str, Any]:
    return {
        "id": sentence.id + 1,
        "revision": sentence.revision,
        "stage": sentence.stage.name.lower(),
        "text": sentence.text,
        "start_ms": milliseconds(sentence.start),
        "end_ms": None if sentence.end is None else milliseconds(sentence.end),
    }


def _heard(sentence: Sentence) -> dict[str, Any]:
    """What the recognisers know beside the text; null, or no words, where they do not."""
    return {
        "confidence": sentence.confidence,
        "emotion": sentence.emotion,
        "event": sentence.event,
        "timestamp_source": sentence.timestamp_source,
        "words": timed_words(sentence),
    }


def timed_words(sentence: Sentence) -> list[dict[str, Any]]:
    spans = ((word, word.span) for word in sentence.words)
    return [_timed(word.text, span.start, span.end) | {"confidence": word.confidence} for word, span in spans]


def _timed(text: str, start: int, end: int | None) -> dict[str, Any]:
    return {"text": text, "start_ms": milliseconds(start), "end_ms": milliseconds(end if end is not None else start)}


def _hit(hit: HotwordHit) -> dict[str, Any]:
    return {"word": hit.word, "replaced": hit.replaced, "stage": hit.stage.name.lower(), "score": round(hit.score, 3)}
