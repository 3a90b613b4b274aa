"""Qwen3-ASR behind an OpenAI-compatible server (vLLM): a whole segment goes out as a WAV, its text comes back.

What is said of a segment travels in a chat completion, because only there the hotwords (the system message) and a
forced language (a prefilled answer) take effect. A chat model that hears, such as Qwen2-Audio, is asked the same way
and told with an instruction what to do. The audio is always in the request itself, never at an address.
"""

import binascii
import json
import logging
import struct
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

from ..core.messages import Lost, NoSpeech, Transcribe
from ..core.types import SAMPLE_RATE, Hypothesis, Samples
from . import Capabilities
from .deadline import Clock, DeadlineTransport, until
from .endpoint import WORTH_A_RETRY_S, Breaker, Message, is_external, normalised
from .qwen3_parse import CODES, LANGUAGES, padded, parse, unquoted, without_loops

log = logging.getLogger(__name__)

LONGEST_ANSWER = 16_384  # characters; more is no transcript of a segment
CHECK_S = 3.0  # limit of a health check
_DATA = "data:audio/wav;base64,"


@dataclass(frozen=True, slots=True)
class Status:
    """For the health page. ``reachable``: None before the first attempt; ``problem``: why it cannot be used now."""

    model: str
    host: str
    external: bool
    reachable: bool | None
    resting: bool
    problem: str | None  # unreachable, loading, wrong_model, failing


class Qwen3Asr:
    """One model on one server. Thread-safe; ``transcribe`` blocks its thread or greenlet.

    Raises:
        ValueError: ``base_url`` is not an http(s) URL, or ``api_key`` is not ASCII.
    """

    capabilities = Capabilities(languages=tuple(LANGUAGES), punctuation=True, itn=True, hotwords=True)

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str = "",
        instruction: str | None = None,
        timeout_s: float = 10.0,
        connect_s: float = 2.0,
        connections: int = 16,
        clock: Clock = time.monotonic,
    ) -> None:
        """``instruction`` is for chat models; ``connections`` is how many threads may ask at a time."""
        if not api_key.isascii():
            raise ValueError("the key must be ASCII")
        self._url = normalised(base_url)
        if not self._url:
            raise ValueError("the address is empty")
        self._model, self._instruction, self._timeout_s, self._clock = model, instruction, timeout_s, clock
        self._breaker = Breaker(clock)
        self._problem: str | None = None
        self._reachable: bool | None = None
        self._plain = False  # the server refuses a prefilled answer
        self._client = httpx2.Client(
            transport=DeadlineTransport(connections),
            timeout=httpx2.Timeout(timeout_s, connect=connect_s),
            headers={"Authorization": f"Bearer {api_key.strip() or 'none'}", "Content-Type": "application/json"},
            trust_env=False,
        )

    def transcribe(self, job: Transcribe) -> Hypothesis | NoSpeech | Lost:
        """``Lost`` says "circuit_open", "timeout", "http_error", "wrong_model", or "rejected": an answer came, but
        cut short or none of this kind."""
        if not self._breaker.allows():
            return Lost("circuit_open")
        begun = self._clock()
        with until(begun + self._timeout_s, self._clock):
            answer = self._answer(job, begun + self._timeout_s)
        self._breaker.record(not isinstance(answer, Lost))
        if isinstance(answer, Lost):
            ms = round((self._clock() - begun) * 1000)
            log.info("segment lost", extra={"model": self._model, "reason": answer.reason, "ms": ms})
        return answer

    def check(self) -> bool:
        """Is the server up, and does it serve this model? What it finds decides whether segments are sent there."""
        with until(self._clock() + CHECK_S, self._clock):
            problem = self._look()
        self._reachable = problem != "unreachable"
        if problem != self._problem:
            log.warning("recogniser checked", extra={"model": self._model, "problem": problem or "none"})
        was, self._problem = self._problem, problem
        if problem is not None:
            self._breaker.trip()
        elif was is not None:
            self._breaker.record(True)
        else:
            self._breaker.try_now()
        return problem is None

    def status(self) -> Status:
        resting = self._breaker.is_open()
        problem = self._problem or ("failing" if resting else None)
        host = urlsplit(self._url).netloc
        return Status(self._model, host, is_external(self._url), self._reachable, resting, problem)

    def close(self) -> None:
        self._client.close()

    def _look(self) -> str | None:
        try:
            health = self._client.get(self._url.removesuffix("/v1") + "/health")
            if health.status_code >= 500:
                return "loading"
            served = self._client.get(self._url + "/models")
            names = [item["id"] for item in served.json()["data"]] if served.status_code == 200 else [self._model]
        except httpx2.TransportError:
            return "unreachable"
        except (ValueError, LookupError, TypeError):
            return "wrong_model"
        return None if self._model in names else "wrong_model"

    def _answer(self, job: Transcribe, deadline: float) -> Hypothesis | NoSpeech | Lost:
        plain, retried = self._plain or job.language not in LANGUAGES, False
        while True:
            try:
                response = self._client.post(self._url + "/chat/completions", content=self._body(job, plain))
            except httpx2.TransportError as error:
                self._reachable = isinstance(error, httpx2.TimeoutException) and self._reachable
                failed = "http_error"
            else:
                self._reachable = response.status_code < 500
                if response.status_code == 200:
                    self._plain = self._plain or (plain and job.language in LANGUAGES)
                    return reading(response.content, job.language, self._instruction is not None)
                if response.status_code in (400, 422) and not plain:
                    plain = True
                    continue
                if response.status_code == 404:
                    return Lost("wrong_model")
                failed = "http_error"
                if response.status_code < 500 and response.status_code != 429:
                    return Lost(failed)
            left = deadline - self._clock()
            if retried or left < WORTH_A_RETRY_S:
                return Lost("timeout" if left <= 0 else failed)
            retried = True

    def _body(self, job: Transcribe, plain: bool) -> bytes:
        """The request. The audio is put in as bytes: a JSON encoder would look at each of its million characters."""
        text = json.dumps(request(self._model, job, self._instruction, plain), ensure_ascii=False)
        before, _, after = text.rpartition(_DATA)  # what follows the audio is ours alone
        return b"".join(
            (before.encode(), _DATA.encode(), binascii.b2a_base64(wav(job.samples), newline=False), after.encode())
        )


def request(model: str, job: Transcribe, instruction: str | None, plain: bool) -> dict[str, Any]:
    """A chat completion's body, with no audio yet behind ``data:audio/wav;base64,``."""
    content: list[object] = [{"type": "audio_url", "audio_url": {"url": _DATA}}]
    if instruction:
        content.append({"type": "text", "text": instruction})
    messages: list[Message] = [{"role": "user", "content": content}]
    if job.bias:
        messages.insert(0, {"role": "system", "content": " ".join(job.bias).replace(_DATA, "")})
    seconds = len(job.samples) // SAMPLE_RATE + 1
    body: dict[str, Any] = {"model": model, "messages": messages, "temperature": 0, "max_tokens": 64 + 16 * seconds}
    if not (plain or instruction):
        messages.append({"role": "assistant", "content": f"language {LANGUAGES[job.language]}<asr_text>"})
        body |= {"add_generation_prompt": False, "continue_final_message": True}
    return body


def wav(samples: Samples) -> bytes:
    """Mono, 16 bits, 16 kHz, at least half a second."""
    data = padded(samples).astype("<i2", copy=False).tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16)
    return b"".join(
        (struct.pack("<4sI4s", b"RIFF", 36 + len(data), b"WAVE"), form, struct.pack("<4sI", b"data", len(data)), data)
    )


def reading(payload: bytes, asked: str, chat: bool = False) -> Hypothesis | NoSpeech | Lost:
    """What a chat completion says was said. ``asked``: the language that was asked for, or "auto"."""
    try:
        choice = json.loads(payload)["choices"][0]
        content = choice["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return Lost("rejected")
    if not isinstance(content, str) or len(content) > LONGEST_ANSWER:
        return Lost("rejected")
    language, said = parse(content)
    text = without_loops(unquoted(said) if chat else said)
    if choice.get("finish_reason") == "length" and text == said:
        return Lost("rejected")  # it was cut short, and not because it had begun to repeat itself
    if not any(c.isalnum() for c in text):
        return NoSpeech() if language == "none" else Hypothesis("")
    return Hypothesis(text, language=CODES.get(language, None if asked == "auto" else asked))
