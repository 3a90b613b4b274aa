"""What is measured: recordings with what is said in them, one JSON object a line.

``{"audio", "text"}`` are needed, ``audio`` relative to the manifest; ``text`` is what is said, with punctuation and
numbers as one would write them where that is to be measured, and empty where nobody speaks. More where it is known:
``id``; ``words`` and ``sentences``, lists of ``{"text", "start", "end"}`` in seconds; ``hotwords``, a list of strings;
``language``. The file may be of any container that the server takes.
"""

import json
import wave
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xingji.audio.container import Limits, decode_file
from xingji.core.types import SAMPLE_RATE, Samples

LANGUAGES = ("zh", "en", "yue", "ja", "ko")
AUDIO_KEYS = ("audio", "file", "audio_filepath", "wav")  # what others call it
_LIMITS = Limits(max_seconds=4 * 3600, max_wall_s=600, max_memory_bytes=1 << 30)


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds from the recording's start."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Clip:
    id: str
    audio: Path
    text: str
    sentences: tuple[Timed, ...] = ()
    words: tuple[Timed, ...] = ()
    hotwords: tuple[str, ...] = ()
    language: str | None = None

    @property
    def spans(self) -> tuple[Timed, ...]:
        """Where somebody speaks, as far as the labels say: the sentences, or from the first word to the last."""
        if self.sentences or not self.words:
            return self.sentences
        return (Timed(self.text, self.words[0].start, self.words[-1].end),)


def read(path: Path) -> list[Clip]:
    """Raises ValueError naming the line that cannot be used, OSError where the file cannot be read.

    A row without a text that could be compared (no ``text``, or null) is left out.
    """
    clips = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if row.get("text") is not None:
                clips.append(_clip(row, path.parent))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path.name}, line {number}: {error!r}") from error
    return clips


def write(path: Path, clips: Iterable[Clip]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = (asdict(clip) | {"audio": _relative(clip.audio, path.parent)} for clip in clips)
    lines = (json.dumps({key: value for key, value in row.items() if value or key == "text"}, ensure_ascii=False)
             for row in rows)  # fmt: skip
    path.write_text("".join(line + "\n" for line in lines), "utf-8")


def samples(path: Path) -> Samples:
    """16 kHz, mono. Raises XingjiError or OSError where it cannot be decoded."""
    try:
        with wave.open(str(path)) as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 1, 2):
                return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
    except (wave.Error, EOFError):
        pass
    return np.concatenate([np.zeros(0, np.int16), *decode_file(path, _LIMITS)])


def save(path: Path, audio: Samples) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(audio.astype("<i2").tobytes())


def _clip(row: Mapping[str, Any], folder: Path) -> Clip:
    name = next((row[key] for key in AUDIO_KEYS if key in row), None)
    if not isinstance(name, str) or not isinstance(row["text"], str):
        raise ValueError(f"needs {AUDIO_KEYS[0]} and text, both strings")
    language = row.get("language")
    return Clip(
        id=str(row.get("id") or Path(name).stem),
        audio=folder / name,
        text=row["text"],
        sentences=tuple(map(_timed, row.get("sentences") or ())),
        words=tuple(map(_timed, row.get("words") or ())),
        hotwords=tuple(map(str, row.get("hotwords") or ())),
        language=language if language in LANGUAGES else None,
    )


def _timed(row: Mapping[str, Any]) -> Timed:
    return Timed(str(row["text"]), float(row["start"]), float(row["end"]))


def _relative(path: Path, folder: Path) -> str:
    try:
        return str(path.resolve().relative_to(folder.resolve()))
    except ValueError:
        return str(path.resolve())
