"""Log lines: a static message, then its fields. Transcripts and hotwords never come here."""

import logging

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class FieldFormatter(logging.Formatter):
    """``time LEVEL logger message key=value …``; the fields are those passed as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        fields = " ".join(f"{k}={v}" for k, v in vars(record).items() if k not in _STANDARD)
        head, newline, stack = line.partition("\n")
        return f"{head} {fields}{newline}{stack}" if fields else line


def configure(level: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(FieldFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # openai and its transport would print whole prompts at DEBUG.
    for noisy in ("engineio", "socketio", "werkzeug", "openai", "httpx2", "httpcore2"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
