"""How Alibaba's NLS says what became of a request: one table for its REST and its WebSocket."""

from ..core.errors import XingjiError

SUCCESS = 20_000_000
# Our code, or the field that an error names → (their status, HTTP status, their name for it).
STATUS = {
    "unauthorized": (40_000_001, 403, "ACCESS_DENIED"),
    "empty_file": (40_000_002, 400, "MESSAGE_INVALID"),
    "unsupported_format": (40_000_002, 400, "MESSAGE_INVALID"),
    "not_streamable": (40_000_002, 400, "MESSAGE_INVALID"),
    "decode_failed": (40_000_002, 400, "MESSAGE_INVALID"),
    "bad_json": (40_000_002, 400, "MESSAGE_INVALID"),
    "bad_parameter": (40_000_003, 400, "PARAMETER_INVALID"),
    "bad_config": (40_000_003, 400, "PARAMETER_INVALID"),
    "unknown_model": (40_000_003, 400, "PARAMETER_INVALID"),
    "too_large": (40_000_003, 413, "PARAMETER_INVALID"),
    "sample_rate": (41_010_101, 400, "UNSUPPORTED_SAMPLE_RATE"),
    "silent_speech": (41_010_105, 400, "SILENT_SPEECH"),
    "connection_timeout": (40_000_004, 408, "IDLE_TIMEOUT"),
    "busy": (40_000_005, 429, "TOO_MANY_REQUESTS"),
    "not_ready": (50_300_018, 503, "SERVICE_UNAVAILABLE"),
    "backend_failed": (50_000_001, 500, "BACKEND_ERROR"),
    "internal": (50_000_000, 500, "SERVER_ERROR"),
}
OTHER = (40_000_000, 400, "CLIENT_ERROR")  # what is not there is the client's fault
FIELDS = {"hotword_table": "vocabulary_id"}  # what they call them


class Failure(Exception):
    """What a client is told; ``str()`` is their status text."""

    def __init__(self, key: str, text: str, close: int = 1000) -> None:
        """``key``: of ``STATUS``, or something that is not there; ``close``: the code that ends the WebSocket."""
        self.status, self.http, name = STATUS.get(key, OTHER)
        self.close = close
        super().__init__(f"Gateway:{name}:{text}")


def why(error: XingjiError) -> Failure:
    """An error of ours in the protocol's words."""
    field = FIELDS.get(error.field or "", error.field)
    key = "sample_rate" if field == "sample_rate" else error.code
    return Failure(key, error.meaning.en + (f" ({field})" if field else ""))
