"""Where the files of requests are, and when they are gone."""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from werkzeug.datastructures import MultiDict

from xingji.core.errors import XingjiError
from xingji.doors import uploads

AUDIO = bytes(range(256)) * 1024


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def client(answer: Callable[[], Any]) -> FlaskClient:
    app = Flask("test")
    app.request_class = uploads.Request
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.post("/")(answer)
    return app.test_client()


def test_a_file_is_on_disk_once_and_gone_afterwards(folder: Path) -> None:
    def answer() -> str:
        path = uploads.on_disk(uploads.sent_file())
        assert list(folder.iterdir()) == [path], "there is no other copy"
        assert path.read_bytes() == AUDIO
        return "done"

    answered = client(answer).post("/", data={"language": "zh", "file": (io.BytesIO(AUDIO), "a.wav")})
    assert answered.text == "done" and not list(folder.iterdir())


def test_a_small_file_can_be_read_by_others_as_well(folder: Path) -> None:
    def answer() -> bytes:
        return uploads.on_disk(uploads.sent_file()).read_bytes()

    assert client(answer).post("/", data={"file": (io.BytesIO(b"RIFF"), "a.wav")}).data == b"RIFF"


def test_nothing_stays_when_the_answer_fails(folder: Path) -> None:
    def answer() -> None:
        uploads.sent_file()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        client(answer).post("/", data={"file": (io.BytesIO(AUDIO), "a.wav")})
    assert not list(folder.iterdir())


def test_nothing_stays_of_a_form_with_too_many_files(folder: Path) -> None:
    files = MultiDict([("file", (io.BytesIO(b"x"), "a.wav"))] * 1)
    for number in range(uploads.MOST_FILES):
        files.add(f"f{number}", (io.BytesIO(b"x"), "b.wav"))
    assert client(lambda: uploads.sent_file().filename).post("/", data=files).status_code == 413
    assert not list(folder.iterdir())


def test_files_that_are_kept_outlive_the_request(folder: Path) -> None:
    def answer() -> Response:
        path = uploads.on_disk(uploads.sent_file())
        response = Response(path.read_bytes()[at : at + 1024] for at in range(0, len(AUDIO), 1024))
        response.call_on_close(uploads.keep_files())
        return response

    answered = client(answer).post("/", data={"file": (io.BytesIO(AUDIO), "a.wav")}, buffered=False)
    assert len(list(folder.iterdir())) == 1
    assert answered.data == AUDIO
    answered.close()
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("data", "code"),
    [({}, "no_file"), ({"file": "RIFF"}, "empty_filename"), ({"file": (io.BytesIO(b"RIFF"), "")}, "empty_filename")],
)
def test_what_is_no_file(folder: Path, data: dict[str, Any], code: str) -> None:
    def answer() -> str:
        with pytest.raises(XingjiError, match=code):
            uploads.sent_file()
        return "refused"

    assert client(answer).post("/", data=data, content_type="multipart/form-data").text == "refused"


@pytest.mark.parametrize(("value", "means"), [("", True), ("true", True), ("0", False), ("False", False), ("1", True)])
def test_flags(value: str, means: bool) -> None:
    assert uploads.flag({"x": value}, "x", True) is means
    assert uploads.flag({}, "x", False) is False


def test_a_flag_that_is_none() -> None:
    with pytest.raises(XingjiError, match="bad_parameter") as refused:
        uploads.flag({"x": "maybe"}, "x", True)
    assert refused.value.field == "x"
