"""One OpenAI-compatible server: asked within a deadline, in any dialect, and left alone while broken."""

import ipaddress
import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx2
import openai

from ..core.messages import Lost
from .deadline import Clock, DeadlineTransport, until

log = logging.getLogger(__name__)

TRIP_AFTER = 5  # consecutive failures
REST_S = 30.0  # how long the endpoint is left alone then
WORTH_A_RETRY_S = 0.1  # with less time left, a second attempt is not made

Message = dict[str, object]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Status:
    """For the health page. ``reachable``: None before the first attempt; ``external``: text leaves the site."""

    configured: bool
    reachable: bool | None
    external: bool
    model: str
    host: str
    resting: bool


class Endpoint:
    """Thread-safe. With an empty ``base_url`` it is unconfigured and answers ``Lost("disabled")``.

    Raises:
        ValueError: ``base_url`` or ``api_key`` cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        model: str,
        *,
        timeout_s: float = 4.0,
        connect_s: float = 2.0,
        clock: Clock = time.monotonic,
    ) -> None:
        if not api_key.isascii():
            raise ValueError("the LLM's key must be ASCII")
        self.model = model
        self._clock = clock
        self._timeout_s = timeout_s
        self._url = normalised(base_url)
        self._breaker = Breaker(clock)
        self._reachable: bool | None = None
        self._plain = False  # the server refuses what the API does not require
        self._client = openai.OpenAI(
            base_url=self._url or "http://unconfigured.invalid/v1",
            api_key=api_key.strip() or "none",
            max_retries=0,
            http_client=httpx2.Client(
                transport=DeadlineTransport(),
                timeout=httpx2.Timeout(timeout_s, connect=connect_s),
                trust_env=False,
            ),
        )

    def ask(
        self,
        messages: list[Message],
        understand: Callable[[str], T | None],
        *,
        schema: dict[str, object],
        max_tokens: int,
        within_s: float | None = None,
    ) -> T | Lost:
        """What ``understand`` makes of the model's answer, freed of thoughts and code fences; after ``within_s``
        at the latest where that is less than the endpoint's own limit.

        ``Lost`` says "disabled", "circuit_open", "timeout", "http_error", or "rejected": an answer
        came, but cut short, empty, still thinking, or such that ``understand`` gave None.
        """
        if not self._url:
            return Lost("disabled")
        if not self._breaker.allows():
            return Lost("circuit_open")
        started = self._clock()
        limit = self._timeout_s if within_s is None else min(within_s, self._timeout_s)
        said = self._answer(messages, schema, max_tokens, started + limit)
        understood = said if isinstance(said, Lost) else understand(said)
        answer = Lost("rejected") if understood is None else understood
        self._breaker.record(not isinstance(answer, Lost))
        if isinstance(answer, Lost):
            ms = round((self._clock() - started) * 1000)
            log.info("llm answer lost", extra={"reason": answer.reason, "ms": ms})
        return answer

    def status(self) -> Status:
        host = urlsplit(self._url).netloc
        return Status(
            bool(self._url),
            self._reachable,
            is_external(self._url),
            self.model,
            host,
            self._breaker.is_open(),
        )

    def close(self) -> None:
        self._client.close()

    def _answer(
        self, messages: list[Message], schema: dict[str, object], max_tokens: int, deadline: float
    ) -> str | Lost:
        plain, retried = self._plain, False
        with until(deadline, self._clock):
            while True:
                try:
                    payload = self._post(messages, schema, max_tokens, plain)
                    self._reachable, self._plain = True, plain
                    return spoken(payload)
                except openai.APIStatusError as error:
                    self._reachable = error.status_code < 500
                    if error.status_code in (400, 422) and not plain:
                        plain = True  # perhaps it only knows the keys of the API's first edition
                        continue
                    if error.status_code < 500:
                        return Lost("http_error")
                except openai.APIConnectionError:
                    self._reachable = False
                left = deadline - self._clock()
                if retried or left < WORTH_A_RETRY_S:
                    return Lost("timeout" if left <= 0 else "http_error")
                retried = True

    def _post(self, messages: list[Message], schema: dict[str, object], max_tokens: int, plain: bool) -> bytes:
        extras: dict[str, Any] = {}
        if not plain:
            extras["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": schema},
            }
            extras["extra_body"] = thinking_off(self._url)
        elif thinks_unless_told(self.model):
            *before, last = messages
            messages = [*before, {**last, "content": f"{last['content']} /no_think"}]
        chat: Any = self._client.chat.completions.with_raw_response
        response = chat.create(model=self.model, messages=messages, temperature=0, max_tokens=max_tokens, **extras)
        content: bytes = response.http_response.content
        return content


def normalised(url: str) -> str:
    """The base URL for the client; "" stays "". Credentials, query and fragment are dropped.

    >>> normalised("http://vllm:8000"), normalised("https://u:p@h/api/v1/chat/completions/")
    ('http://vllm:8000/v1', 'https://h/api/v1')

    Raises:
        ValueError: not an http(s) URL with a host.
    """
    if not url.strip():
        return ""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("the LLM's address must be an http(s) URL")
    path = parts.path.rstrip("/").removesuffix("/chat/completions").rstrip("/")
    version = path.rpartition("/")[2]
    if not (version[:1] == "v" and version[1:2].isdigit()):
        path += "/v1"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", ""))


def is_external(url: str) -> bool:
    """The host is not loopback or private, by address or by a name that only a local resolver knows."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".local", ".internal", ".lan", ".localhost", ".invalid"))


def thinking_off(url: str) -> dict[str, object]:
    """The keys that switch thinking off: a template option, except in the vendor's own cloud."""
    if (urlsplit(url).hostname or "").endswith(".aliyuncs.com"):
        return {"enable_thinking": False}
    return {"chat_template_kwargs": {"enable_thinking": False}}


def thinks_unless_told(model: str) -> bool:
    """Qwen3 of April 2025 obeys ``/no_think``; later Instruct models never think and would read it as text."""
    name = model.lower()
    return "qwen3" in name and "instruct" not in name and "2507" not in name


def spoken(payload: bytes) -> str | Lost:
    """What the model says in a chat completion, or ``Lost("rejected")``."""
    try:
        choice = json.loads(payload)["choices"][0]
        content = choice["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return Lost("rejected")
    if choice.get("finish_reason") == "length" or not isinstance(content, str):
        return Lost("rejected")
    said = _without_thoughts(content)
    return Lost("rejected") if said is None else _without_fence(said)


def _without_thoughts(content: str) -> str | None:
    """None if the model was still thinking at the end. Its template may have written the opener."""
    _, closed, said = content.rpartition("</think>")
    if "<think>" in said:
        return None
    return (said if closed else content).strip()


def _without_fence(said: str) -> str:
    if said.startswith("```") and said.endswith("```") and "\n" in said:
        return said[said.index("\n") : -3].strip()
    return said


class Breaker:
    """Closed until five failures in a row; then open for 30 s; then one probe decides."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._rest_until = 0.0

    def allows(self) -> bool:
        """Whether a request may go out; while half open only the first caller is told so."""
        with self._lock:
            if self._failures < TRIP_AFTER:
                return True
            if self._clock() < self._rest_until:
                return False
            self._rest_until = self._clock() + REST_S  # others wait for this probe's outcome
            return True

    def record(self, success: bool) -> None:
        with self._lock:
            self._failures = 0 if success else self._failures + 1
            if self._failures >= TRIP_AFTER:
                self._rest_until = self._clock() + REST_S

    def trip(self) -> None:
        """Something else has found out that requests are in vain."""
        with self._lock:
            self._failures = max(self._failures, TRIP_AFTER)
            self._rest_until = self._clock() + REST_S

    def try_now(self) -> None:
        """There is reason to hope: if it is open, the next caller is the probe."""
        with self._lock:
            self._rest_until = self._clock()

    def is_open(self) -> bool:
        return self._failures >= TRIP_AFTER
