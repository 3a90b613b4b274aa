"""Where log lines go, and what they look like."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from xingji import logs


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:], root.level = handlers, level


def test_lines_go_to_standard_error_and_to_the_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", str(tmp_path / "new" / "logs"))
    logging.getLogger("xingji.test").info("model ready", extra={"model": "流式", "size": 3})
    logging.getLogger("xingji.test").debug("too much")
    kept = (tmp_path / "new" / "logs" / logs.FILE).read_text("utf-8")
    assert kept == capfd.readouterr().err
    assert kept.endswith(" INFO xingji.test model ready model=流式 size=3\n") and kept.count("\n") == 1


def test_fields_stand_before_the_stack() -> None:
    record = logging.LogRecord("xingji", logging.ERROR, "", 0, "job failed", (), None)
    record.exc_text, record.job = "Traceback\n  why", 7
    line = logs.FieldFormatter("%(levelname)s %(message)s").format(record)
    assert line == "ERROR job failed job=7\nTraceback\n  why"


def test_the_file_is_kept_from_growing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES", 2000)
    logs.configure("INFO", str(tmp_path))
    for number in range(300):
        logging.getLogger("xingji.test").info("line", extra={"number": number})
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [logs.FILE, *(f"{logs.FILE}.{n}" for n in range(1, logs.OLD_FILES + 1))]
    assert all(path.stat().st_size <= 2000 for path in tmp_path.iterdir())
    assert (tmp_path / logs.FILE).read_text("utf-8").endswith("number=299\n")


def test_no_folder_means_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    logs.configure("INFO")
    logging.getLogger("xingji.test").warning("something")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "logs").write_text("a file", "utf-8")
    logs.configure("INFO", str(tmp_path / "logs"))
    logging.getLogger("xingji.test").info("still here")
    printed = capfd.readouterr().err
    assert "no log file" in printed and "still here" in printed


def test_libraries_that_would_print_prompts_are_quiet() -> None:
    logs.configure("DEBUG")
    assert logging.getLogger("openai").getEffectiveLevel() == logging.WARNING
