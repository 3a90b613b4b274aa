"""Where recordings with their texts lie: manifests, AISHELL-1, Kaldi directories, and this repository's own."""

import json
from collections.abc import Iterator
from pathlib import Path

from .manifest import Clip, Timed, read

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = ROOT / "tests" / "data" / "speech.json"
AISHELL_TEXTS = "transcript/aishell_transcript_v0.8.txt"


def clips(path: Path, part: str = "test") -> list[Clip]:
    """Of a manifest, of a directory of Kaldi (``wav.scp`` and ``text``), or of ``data_aishell`` as it is unpacked,
    of which ``part`` names the subset.

    Raises ValueError or OSError where there is nothing that can be measured.
    """
    if path.is_file():
        found = read(path)
    elif (path / "wav.scp").is_file():
        found = list(_kaldi(path))
    elif (path / AISHELL_TEXTS).is_file():
        found = list(_aishell(path, part))
    else:
        raise ValueError(f"{path} is no manifest, no Kaldi directory and no data_aishell")
    if not found:
        raise ValueError(f"{path} names no recording with a text")
    return found


def recordings() -> list[Clip]:
    """The frozen recordings of this repository: held-out sentences in held-out voices of the mini pack."""
    rows = json.loads(RECORDINGS.read_text("utf-8"))
    return [
        Clip(
            Path(row["file"]).stem,
            RECORDINGS.with_suffix("") / row["file"],
            "".join(sentence["written"] for sentence in row["sentences"]),
            tuple(Timed(s["written"], s["begin_ms"] / 1000, s["end_ms"] / 1000) for s in row["sentences"]),
        )
        for row in rows
    ]


def _aishell(root: Path, part: str) -> Iterator[Clip]:
    """``wav/<part>/<speaker>/<id>.wav`` and a line of ``<id> <words>`` each. A few recordings have no text."""
    texts = _texts(root / AISHELL_TEXTS)
    for wav in sorted((root / "wav" / part).glob("*/*.wav")):
        if wav.stem in texts:
            yield Clip(wav.stem, wav, texts[wav.stem], language="zh")


def _kaldi(folder: Path) -> Iterator[Clip]:
    """``wav.scp`` with plain paths, relative to the directory. Raises ValueError for a pipe."""
    texts = _texts(folder / "text")
    for line in (folder / "wav.scp").read_text("utf-8").splitlines():
        name, _, place = line.strip().partition(" ")
        if place.rstrip().endswith("|"):
            raise ValueError(f"wav.scp: {name} is the output of a command; write it to a file first")
        if name in texts:
            yield Clip(name, folder / place.strip(), texts[name])


def _texts(path: Path) -> dict[str, str]:
    """Words are set apart by blanks; between Han characters these are no part of the text, and none counts anyway."""
    pairs = (line.strip().partition(" ") for line in path.read_text("utf-8").splitlines() if line.strip())
    return {name: text.strip() for name, _, text in pairs}
