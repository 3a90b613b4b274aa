"""Log lines: a static message, then its fields. Transcripts and hotwords never come here.

They go to standard error and, where a folder is given, to a file there that is kept from growing.
"""

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

FILE = "xingji.log"
FILE_BYTES = 10 << 20
OLD_FILES = 5  # xingji.log.1 … xingji.log.5

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class FieldFormatter(logging.Formatter):
    """``time LEVEL logger message key=value …``; the fields are those passed as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        fields = " ".join(f"{k}={v}" for k, v in vars(record).items() if k not in _STANDARD)
        head, newline, stack = line.partition("\n")
        return f"{head} {fields}{newline}{stack}" if fields else line


def configure(level: str, folder: str = "") -> None:
    """Send every logger's lines of ``level`` and above where they belong; replaces an earlier configuration."""
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    refused = None
    if folder:
        try:
            handlers.append(_file(Path(folder)))
        except OSError as error:  # a server that cannot write its log can still transcribe
            refused = error.strerror
    for handler in handlers:
        handler.setFormatter(FieldFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=handlers, force=True)
    # openai and its transport would print whole prompts at DEBUG.
    for noisy in ("engineio", "socketio", "werkzeug", "openai", "httpx2", "httpcore2"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if refused:
        logging.getLogger(__name__).warning("no log file", extra={"folder": folder, "reason": refused})


def _file(folder: Path) -> logging.Handler:
    folder.mkdir(parents=True, exist_ok=True)
    return RotatingFileHandler(folder / FILE, maxBytes=FILE_BYTES, backupCount=OLD_FILES, encoding="utf-8")
