"""What the detector and the recognisers made of a recording, as a picture to look at.

``python -m tools.picture FILE.wav OUT.svg [--models DIR]`` (16 kHz, mono, 16 bit) draws the mel
spectrogram, 10 ms to the pixel, dark where it is loud, with a frame around each segment and, under it,
what the streaming recogniser and the second pass read there. One file, nothing beside it.
"""

import argparse
import base64
import struct
import sys
import wave
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from tools.replay import FRAME, MODELS, Engines, read
from xingji.core.messages import Audio, Command, Completed, Effect, Job, Profile, Stop
from xingji.core.session import Session
from xingji.core.types import SAMPLE_RATE, Samples, Stage
from xingji.engines.pinyin import Pypinyin

STEP = SAMPLE_RATE // 100  # samples to the column
MELS = 80
RANGE_DB = 70.0  # what is this much below the loudest is white

LEFT, TOP, HEIGHT = 60, 30, 2 * MELS  # pixels
ROWS = {Stage.STREAMED: ("流式", TOP + HEIGHT + 40), Stage.SECOND_PASS: ("复检", TOP + HEIGHT + 64)}


def spectrogram(audio: Samples) -> NDArray[np.uint8]:
    """Shape ``(MELS, 1 + len(audio) // STEP)``, row 0 the highest band; 255 is silence, 0 the loudest moment."""
    import librosa

    sound = audio.astype(np.float32) / 32768
    power = librosa.feature.melspectrogram(y=sound, sr=SAMPLE_RATE, n_fft=512, hop_length=STEP, n_mels=MELS)
    level = librosa.power_to_db(power, ref=max(float(power.max()), 1e-10), top_db=None)
    grey: NDArray[np.uint8] = np.round(255 * np.clip(-level[::-1] / RANGE_DB, 0, 1)).astype(np.uint8)
    return grey


def png(grey: NDArray[np.uint8]) -> bytes:
    """An 8-bit greyscale PNG (ISO/IEC 15948), rows unfiltered."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = grey.shape
    rows = b"".join(b"\0" + row.tobytes() for row in grey)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def listen(audio: Samples, engines: Engines) -> Completed:
    """The session's last word on the recording."""
    session = Session(Profile(correct=False), Pypinyin())
    jobs, completed = deque[Job](), list[Completed]()

    def take(effects: list[Effect]) -> None:
        jobs.extend(effect for effect in effects if isinstance(effect, Job))
        completed.extend(effect for effect in effects if isinstance(effect, Completed))

    frames = [Audio(audio[begin : begin + FRAME]) for begin in range(0, len(audio), FRAME)]
    commands: list[Command] = [*frames, Stop()]
    for command in commands:
        take(session.handle(command))
        while jobs:
            job = jobs.popleft()
            take(session.resolve(job, engines.answer(job)))
    return completed[0]


def svg(grey: NDArray[np.uint8], heard: Completed) -> str:
    width, height = LEFT + grey.shape[1] + 10, max(y for _, y in ROWS.values()) + 16
    image = base64.b64encode(png(grey)).decode()
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">',
            '<rect width="100%" height="100%" fill="white"/>',
            f'<image x="{LEFT}" y="{TOP}" width="{grey.shape[1]}" height="{HEIGHT}" preserveAspectRatio="none" '
            f'href="data:image/png;base64,{image}"/>',
            *_seconds(heard.length),
            *(f'<text x="8" y="{y}" font-size="14" fill="grey">{name}</text>' for name, y in ROWS.values()),
            *_sentences(heard),
            "</svg>\n",
        ]
    )


def _seconds(length: int) -> Iterator[str]:
    for second in range(length // SAMPLE_RATE + 1):
        x, y = LEFT + second * SAMPLE_RATE // STEP, TOP + HEIGHT
        yield f'<path d="M{x} {y}v5" stroke="grey"/>'
        yield f'<text x="{x}" y="{y + 17}" font-size="11" fill="grey" text-anchor="middle">{second} s</text>'


def _sentences(heard: Completed) -> Iterator[str]:
    for sentence, readings in zip(heard.sentences, heard.readings, strict=True):
        begin, end = sentence.start, heard.length if sentence.end is None else sentence.end
        x = LEFT + begin // STEP
        yield (
            f'<rect class="segment" x="{x}" y="{TOP}" width="{(end - begin) // STEP}" height="{HEIGHT}" '
            'fill="royalblue" fill-opacity="0.12" stroke="royalblue"/>'
        )
        yield (
            f'<text x="{x}" y="{TOP - 8}" font-size="12" fill="royalblue">'
            f"{begin / SAMPLE_RATE:.2f}–{end / SAMPLE_RATE:.2f} s</text>"
        )
        for stage, (_, y) in ROWS.items():
            if stage in readings.readings:
                yield f'<text x="{x}" y="{y}" font-size="14">{escape(readings.readings[stage])}</text>'


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.picture", description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, metavar="FILE.wav")
    parser.add_argument("out", type=Path, metavar="OUT.svg")
    parser.add_argument("--models", type=Path, default=MODELS, metavar="DIR", help="default: the embedded pack")
    options = parser.parse_args()
    try:
        audio = read(options.file)
    except (OSError, EOFError, wave.Error, ValueError) as error:
        parser.error(str(error))
    options.out.write_text(svg(spectrogram(audio), listen(audio, Engines(options.models))), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
