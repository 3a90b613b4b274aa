"""The picture of a recording: a spectrogram of the right size, well-formed XML, and the texts in it."""

import base64
import struct
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.support import SPEECH, utterance
from tools import picture
from xingji.core.messages import Completed, SentenceReadings
from xingji.core.types import Sentence, Stage

SVG = "{http://www.w3.org/2000/svg}"
NAME = "two_sentences"


def unpack(data: bytes) -> np.ndarray:
    """Read a greyscale PNG, checking each chunk's length and sum."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", data, at + 8 + size) == (zlib.crc32(kind + body),)
        chunks[kind], at = body, at + 12 + size
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, colour, rest) == (8, 0, [0, 0, 0])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + width)
    assert not rows[:, 0].any()
    return rows[:, 1:]


def test_a_png_holds_its_pixels() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(unpack(picture.png(grey)), grey)


def test_a_tone_is_dark_in_its_band_and_silence_is_white() -> None:
    time = np.arange(16_000) / 16_000
    tone = (8_000 * np.sin(2 * np.pi * 1_000 * time)).astype(np.int16)
    low = picture.spectrogram(tone)
    high = picture.spectrogram((8_000 * np.sin(2 * np.pi * 4_000 * time)).astype(np.int16))
    assert low.shape == (80, 101) and low.dtype == np.uint8
    assert low[:, 50].min() < 10
    assert high[:, 50].argmin() < low[:, 50].argmin()  # row 0 is the highest band
    both = picture.spectrogram(np.concatenate([tone, np.zeros(16_000, np.int16)]))
    assert (both[:, 120:] == 255).all()


def test_texts_are_escaped_and_a_missing_reading_is_left_out() -> None:
    sentence = Sentence(0, 1_600, 8_000, Stage.STREAMED, 1, "A<B&C")
    heard = Completed((sentence,), (SentenceReadings({Stage.STREAMED: "A<B&C"}),), (), 16_000)
    root = ElementTree.fromstring(picture.svg(np.zeros((80, 101), np.uint8), heard))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert "A<B&C" in texts and texts.count("A<B&C") == 1


def test_the_picture_of_a_recording(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.svg"
    command = ["picture", str(SPEECH / f"{NAME}.wav"), str(out), "--models", str(models)]
    monkeypatch.setattr("sys.argv", command)
    assert picture.main() == 0
    root = ElementTree.fromstring(out.read_text("utf-8"))
    said = utterance(NAME)
    frames = 1 + len(said.pcm) // 2 // 160
    image = next(root.iter(f"{SVG}image"))
    assert unpack(base64.b64decode(image.attrib["href"].split(",", 1)[1])).shape == (80, frames)
    assert image.attrib["width"] == str(frames)
    texts = [element.text for element in root.iter(f"{SVG}text")]
    segments = [element for element in root.iter(f"{SVG}rect") if element.get("class") == "segment"]
    assert len(segments) == len(said.sentences)
    for sentence, segment in zip(said.sentences, segments, strict=True):
        if said.exact:
            assert sentence["written"] in texts
        begin = 10 * (int(segment.attrib["x"]) - picture.LEFT)
        end = begin + 10 * int(segment.attrib["width"])
        assert begin < sentence["begin_ms"] + 100 and end > sentence["end_ms"] - 100


def test_a_file_that_is_no_wav_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.wav").write_bytes(b"no")
    monkeypatch.setattr("sys.argv", ["picture", str(tmp_path / "a.wav"), str(tmp_path / "b.svg")])
    with pytest.raises(SystemExit) as exit:
        picture.main()
    assert exit.value.code == 2
    assert not (tmp_path / "b.svg").exists()
