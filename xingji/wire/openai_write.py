"""How OpenAI's REST interface answers: transcripts in each format, events of a streamed one, errors. Times are
seconds."""

import math
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..core.errors import XingjiError
from ..core.messages import Completed
from ..core.subtitles import srt, vtt
from ..core.transcript import join, parted, pieces
from ..core.types import SAMPLE_RATE, Sentence, Span
from . import seconds
from .dialect import Frames, InOrder, to_json
from .openai_read import Asked, Failure

NAMES = {"zh": "chinese", "en": "english", "yue": "cantonese", "ja": "japanese", "ko": "korean"}
SPEAKER = "A"  # of one, since nobody tells them apart here
CREATED = 1_700_000_000  # clients insist on a date, and the registry knows none

CLIENT, SERVER = "invalid_request_error", "server_error"
# code of ours → (status, type, their code, param)
ERRORS = {
    "unauthorized": (401, CLIENT, "invalid_api_key", None),
    "unknown_model": (404, CLIENT, "model_not_found", "model"),
    "not_found": (404, CLIENT, "not_found", None),
    "method_not_allowed": (405, CLIENT, "method_not_allowed", None),
    "upgrade_required": (426, CLIENT, "upgrade_required", None),
    "not_supported": (400, CLIENT, "unsupported_operation", None),
    "no_file": (400, CLIENT, "missing_required_parameter", "file"),
    "empty_filename": (400, CLIENT, "missing_required_parameter", "file"),
    "empty_file": (400, CLIENT, "invalid_audio", "file"),
    "unsupported_format": (400, CLIENT, "invalid_audio", "file"),
    "decode_failed": (400, CLIENT, "invalid_audio", "file"),
    "too_large": (413, CLIENT, "file_too_large", "file"),
    "busy": (429, "requests", "rate_limit_exceeded", None),
    "not_ready": (503, SERVER, "not_ready", None),
    "internal": (500, SERVER, "server_error", None),
}  # every other is (400, CLIENT, "invalid_value", …)
_WORDS = {
    "unauthorized": "API 密钥不对。 Incorrect API key provided.",
    "not_supported": "这个服务器不翻译。 There is no translating backend here.",
}

Body = dict[str, Any]


def refused(error: XingjiError | Failure) -> tuple[int, Body]:
    """Status and body."""
    if isinstance(error, Failure):
        return error.status, _error(str(error), CLIENT, error.code, error.param)
    status, kind, code, param = ERRORS.get(error.code, (400, CLIENT, "invalid_value", error.field))
    message = _WORDS.get(error.code, f"{error.meaning.zh} {error.meaning.en}")
    return status, _error(message, kind, code, param)


def _error(message: str, kind: str, code: str, param: str | None) -> Body:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def model(id: str) -> Body:
    return {"id": id, "object": "model", "created": CREATED, "owned_by": "local"}


# -- transcripts ----------------------------------------------------------------------------------


def answer(done: Completed, asked: Asked) -> Body | str:
    """A text for the formats that are text."""
    told = [sentence for sentence in done.sentences if sentence.text]
    text = join(sentence.text for sentence in told)
    match asked.format:
        case "text":
            return text + "\n"
        case "srt":
            return srt(told)
        case "vtt":
            return vtt(told)
        case "verbose_json":
            body: Body = {"task": "transcribe", "language": _language(told, asked), "duration": seconds(done.length)}
            body["text"] = text
            if asked.segments:
                body["segments"] = [_segment(id, *part) for id, part in enumerate(parted(told))]
            if asked.words:
                body["words"] = [
                    {"word": word.text, **_times(word.span)} for sentence in told for word in sentence.words
                ]
        case "diarized_json":
            body = {"task": "transcribe", "duration": seconds(done.length), "text": text}
            body["segments"] = [_speech(id, text, span) for id, (_, text, span) in enumerate(parted(told))]
        case _:
            body = {"text": text}
    return body | {"usage": {"type": "duration", "seconds": -(-done.length // SAMPLE_RATE)}}


def _language(told: Sequence[Sentence], asked: Asked) -> str:
    """The language of most of the text."""
    count: Counter[str] = Counter()
    for sentence in told:
        count[sentence.language or asked.wishes.language] += len(sentence.text)
    code = max(count, key=lambda code: count[code]) if count else asked.wishes.language
    return NAMES.get(code, "unknown")


def _segment(id: int, sentence: Sentence, text: str, span: Span) -> Body:
    """What only Whisper knows is measured as it would be where that can be, and else says that all is well."""
    written = text.encode()
    return {
        "id": id,
        "seek": sentence.start * 100 // SAMPLE_RATE,  # where the recogniser began to read, in 10 ms
        **_times(span),
        "text": text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": round(math.log(sentence.confidence), 3) if sentence.confidence else 0.0,
        "compression_ratio": round(len(written) / len(zlib.compress(written)), 3),
        "no_speech_prob": 0.0,
    }


def _speech(id: int, text: str, span: Span) -> Body:
    times = _times(span)
    return {"type": "transcript.text.segment", "id": f"seg_{id}", **times, "speaker": SPEAKER, "text": text}


def _times(span: Span) -> Body:
    return {"start": seconds(span.start), "end": seconds(span.end)}


# -- streams --------------------------------------------------------------------------------------

ALIVE = ": \n\n"  # a comment, which clients pass over


class Stream(InOrder):
    """Server-sent events of one transcription. What the deltas say together is the text of ``done``."""

    def __init__(self, diarized: bool) -> None:
        super().__init__(corrected=False)
        self._diarized = diarized
        self._texts: list[str] = []
        self._segments = 0

    def ended(self, number: int, sentence: Sentence | None) -> Frames:
        if sentence is None or not sentence.text:
            return ()
        text = list(pieces((*self._texts[-1:], sentence.text)))[-1]
        self._texts.append(text)
        if not self._diarized:
            return (event({"type": "transcript.text.delta", "delta": text}),)
        frames, space = [], text[: len(text) - len(sentence.text)]
        for _, part, span in parted((sentence,)):
            segment = _speech(self._segments, space + part, span)
            delta = {"type": "transcript.text.delta", "delta": space + part, "segment_id": segment["id"]}
            frames += [event(delta), event(segment)]
            self._segments, space = self._segments + 1, ""
        return tuple(frames)

    def final(self, done: Completed | None) -> Frames:
        return event({"type": "transcript.text.done", "text": "".join(self._texts)}), "data: [DONE]\n\n"


def event(body: Body) -> str:
    return f"data: {to_json(body)}\n\n"


def failed(error: XingjiError) -> str:
    """The last event of a stream that cannot go on."""
    return "event: error\n" + event(refused(error)[1])
