"""The protocols of others that are spoken here, over a raw WebSocket or over HTTP: a line each. ``/api/protocols`` and
the READMEs show it."""

from collections.abc import Callable
from dataclasses import dataclass

from ..core.errors import XingjiError
from .dashscope import PATHS as DASHSCOPE
from .dashscope import Inference
from .dashscope_write import refused
from .dialect import Dialect, Handshake, to_json
from .funasr import FunAsr
from .nls import PATHS as NLS
from .nls import Nls
from .nls_write import refused as nls_refused
from .openai_realtime import PATH as OPENAI
from .openai_realtime import SUBPROTOCOL, OpenAiRealtime
from .openai_realtime_write import refused as refused_by_openai
from .qwen_realtime import PATH as QWEN
from .qwen_realtime import QwenRealtime
from .simple import Simple


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a handshake is answered that becomes no WebSocket."""

    status: int
    body: str  # JSON


def refusal(error: XingjiError) -> Refusal:
    """As our REST answers."""
    body = {
        "success": False,
        "error": error.meaning.zh,
        "message_en": error.meaning.en,
        "code": error.code,
        "retryable": error.meaning.retryable,
        **({} if error.field is None else {"field": error.field}),
    }
    return Refusal({"unauthorized": 401, "internal": 500}.get(error.code, 400), to_json(body))


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    name: str
    title: str  # Chinese
    title_en: str
    paths: tuple[str, ...]
    features: tuple[str, ...]
    document: str
    clients: tuple[str, ...]  # with which a test has proven it


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Protocol):
    """``make`` begins a connection or raises XingjiError, which ``refuse`` puts in the protocol's own words."""

    make: Callable[[Handshake], Dialect]
    subprotocols: tuple[str, ...] = ()  # selected where the client offers one of them
    refuse: Callable[[XingjiError], Refusal] = refusal
    secrets: bool = False  # a client secret opens it too


TABLE: tuple[Entry, ...] = (
    Entry(
        name="simple",
        title="简单网关：浏览器判停、整句发送，或边说边出字",
        title_en="Simple gateway: whole sentences that the client has cut, or live text",
        paths=("/ws/asr",),
        make=Simple,
        features=("whole_sentences", "partials", "hotwords", "sample_rate", "f32le", "api_key"),
        document="docs/protocols/simple.md",
        clients=("websockets", "Node ws"),
    ),
    Entry(
        name="funasr",
        title="FunASR 运行时协议：offline、online、2pass",
        title_en="FunASR's runtime protocol: offline, online, 2pass",
        paths=("/", "/ws/funasr"),
        make=FunAsr,
        features=("offline", "online", "2pass", "hotwords", "itn", "sample_rate", "wav", "api_key", "port_10095"),
        document="docs/protocols/funasr.md",
        clients=("funasr_wss_client.py (2025, 2026)", "websockets", "websocket-client", "Node ws"),
        subprotocols=("binary",),
    ),
    Entry(
        name="dashscope",
        title="DashScope（阿里云百炼）实时语音识别",
        title_en="DashScope's realtime recognition",
        paths=DASHSCOPE,
        make=Inference,
        features=("partials", "vocabulary", "sample_rate", "wav", "heartbeat", "connection_reuse", "api_key"),
        document="docs/protocols/dashscope.md",
        clients=("dashscope 1.20, 1.25, 2.0 (Python)", "websockets"),
        refuse=lambda error: Refusal(*refused(error)),
    ),
    Entry(
        name="qwen-realtime",
        title="千问实时语音识别（DashScope）",
        title_en="Qwen's realtime recognition (DashScope)",
        paths=(QWEN,),
        make=QwenRealtime,
        features=("partials", "server_vad", "manual", "sample_rate", "wav", "api_key"),
        document="docs/protocols/dashscope.md",
        clients=("dashscope 1.25, 2.0 (Python)", "websockets"),
        refuse=lambda error: Refusal(*refused(error)),
    ),
    Entry(
        name="nls",
        title="阿里云智能语音交互（NLS）：实时转写、一句话识别",
        title_en="Alibaba's Intelligent Speech Interaction (NLS): transcriber, recogniser",
        paths=NLS,
        make=Nls,
        features=("partials", "vocabulary", "sample_rate", "wav", "connection_reuse", "api_key"),
        document="docs/protocols/nls.md",
        clients=("nls (Python)", "websockets"),
        refuse=lambda error: Refusal(*nls_refused(error)),
    ),
    Entry(
        name="openai-realtime",
        title="OpenAI Realtime 转写会话（GA 与 beta）",
        title_en="OpenAI's Realtime transcription sessions (GA and beta)",
        paths=(OPENAI,),
        make=OpenAiRealtime,
        features=("partials", "server_vad", "manual", "hotwords", "24khz", "g711", "client_secrets", "api_key"),
        document="docs/protocols/openai_realtime.md",
        clients=("openai 3.52 (Python)", "openai 7.55 (Node)", "websockets"),
        subprotocols=(SUBPROTOCOL,),
        refuse=lambda error: Refusal(*refused_by_openai(error)),
        secrets=True,
    ),
)

OVER_HTTP: tuple[Protocol, ...] = (
    Protocol(
        name="openai",
        title="OpenAI 转写接口（HTTP）",
        title_en="OpenAI's transcriptions (HTTP)",
        paths=("/v1/audio/transcriptions", "/v1/models"),
        features=("files", "stream", "hotwords", "word_times", "subtitles", "api_key"),
        document="docs/protocols/openai.md",
        clients=("openai 1.109, 2.8, 3.52 (Python)", "openai 7.55 (Node)", "curl"),
    ),
)
