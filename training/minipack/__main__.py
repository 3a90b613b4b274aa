"""Make the mini pack: ``python -m training.minipack`` from the root of the repository.

Every stage leaves its result under ``--work`` and is skipped when the result is there and the sources that
made it have not changed, so an interrupted run goes on where it stopped, and a changed stage is made anew.
Two processes may share the work: once the first has begun ``sensevoice``, run a second one with ``--only vad
punctuation paraformer``. Packing, measuring and the manifest are done every time.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from training.minipack import (
    corpus,
    evaluate,
    pack,
    paraformer,
    provenance,
    punctuation,
    recordings,
    sensevoice,
    vad,
)
from training.minipack.corpus import Corpus

log = logging.getLogger("minipack")

RECORDINGS = Path("tests/data/speech")
RECORDINGS_INDEX = Path("tests/data/speech.json")
TRAINED = ("vad", "punctuation", "sensevoice", "paraformer")
MADE_BY = {
    "speech": ["corpus"],
    "features": ["corpus"],
    "noise": ["corpus"],
    "vad": ["vad"],
    "punctuation": ["punctuation"],
    "sensevoice": ["sensevoice"],
    "paraformer": ["paraformer", "sensevoice"],
}
"""The modules that make each stage's result, what they import included."""


class Recipe:
    """The stages in their order; each is a method that makes one result."""

    def __init__(self, work: Path, out: Path) -> None:
        self._work, self._out = work, out

    def stages(self) -> dict[str, tuple[Path | None, Callable[[], None]]]:
        """Name → (the result that proves it is done, or None; how to make it)."""
        work = self._work
        return {
            "recordings": (None, self.recordings),
            "speech": (work / "speech/texts.json", self.speech),
            "features": (work / "features/texts.json", self.features),
            "noise": (work / "noise/texts.json", self.noise),
            "vad": (work / "vad/cpu_s.txt", self.vad),
            "punctuation": (work / "punctuation/cpu_s.txt", self.punctuation),
            "sensevoice": (work / "sensevoice/cpu_s.txt", self.sensevoice),
            "paraformer": (work / "paraformer/cpu_s.txt", self.paraformer),
            "pack": (None, self.pack),
            "evaluate": (None, self.evaluate),
            "manifest": (None, self.manifest),
        }

    def run(self, only: Sequence[str] = ()) -> None:
        for name, (result, make) in self.stages().items():
            if only and name not in only:
                continue
            if name in MADE_BY:
                self._claim(name)
            if result is not None and result.exists():
                log.info("%s: done before", name)
                continue
            log.info("%s: begins", name)
            make()
            log.info("%s: done", name)

    def _claim(self, name: str) -> None:
        """Bind the stage's folder to today's sources: what others have made or begun there is thrown away."""
        stamp, today = self._work / f"{name}.sha256", provenance.digest(MADE_BY[name])
        if not stamp.exists() or stamp.read_text().strip() != today:
            shutil.rmtree(self._work / name, ignore_errors=True)
            stamp.write_text(f"{today}\n")

    def recordings(self) -> None:
        recordings.freeze(RECORDINGS, RECORDINGS_INDEX)

    def speech(self) -> None:
        corpus.make_speech(self._work / "speech")

    def features(self) -> None:
        corpus.make_features(self._work / "speech", self._work / "features")

    def noise(self) -> None:
        corpus.make_noise(self._work / "noise")

    def vad(self) -> None:
        speech, noise = self._corpora()
        self._train("vad", lambda folder: vad.train(speech, noise, speech.normaliser(), folder))

    def punctuation(self) -> None:
        self._train("punctuation", punctuation.train)

    def sensevoice(self) -> None:
        corpora = self._corpora()
        normaliser = corpora[0].normaliser()
        self._train("sensevoice", lambda folder: sensevoice.train(corpora, normaliser, folder))

    def paraformer(self) -> None:
        speech, noise = self._corpora()
        normaliser = speech.normaliser()
        early = self._work / "sensevoice/early.pt"
        while not early.exists():
            log.info("waiting for %s", early)
            time.sleep(10)
        start, pieces = torch.load(early), sensevoice.load_pieces(early.parent)
        self._train(
            "paraformer",
            lambda folder: paraformer.train(speech, noise, normaliser, start, pieces, folder),
        )

    def pack(self) -> None:
        states = {name: torch.load(self._work / name / "final.pt") for name in TRAINED}
        states["punc"] = states.pop("punctuation")
        bpe = (self._work / "sensevoice" / sensevoice.BPE_FILE).read_bytes()
        pack.write_pack(self._out, states, self._corpora()[0].normaliser(), bpe)

    def evaluate(self) -> None:
        figures = evaluate.measure(self._out)
        exact = evaluate.mark_exact(self._out, RECORDINGS, RECORDINGS_INDEX)
        figures["exact_recordings"] = f"{exact}/{len(recordings.PLANS)}"
        (self._work / "held_out.json").write_text(json.dumps(figures, ensure_ascii=False, indent=1) + "\n")

    def manifest(self) -> None:
        seconds = {name: int((self._work / name / "cpu_s.txt").read_text()) for name in TRAINED}
        stages = {name: (self._work / f"{name}.sha256").read_text().strip() for name in MADE_BY}
        pack.write_manifest(self._out, stages, seconds, json.loads((self._work / "held_out.json").read_text()))

    def _corpora(self) -> tuple[Corpus, Corpus]:
        return Corpus(self._work / "features"), Corpus(self._work / "noise")

    def _train(self, name: str, train: Callable[[Path], None]) -> None:
        """Train in ``work/name``; the processor seconds of this process mark its completion."""
        began = time.process_time()
        train(self._work / name)
        (self._work / name / "cpu_s.txt").write_text(f"{time.process_time() - began:.0f}\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.minipack", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("xingji/minipack"), help="where the pack goes")
    parser.add_argument("--work", type=Path, default=Path(".build/minipack/work"), help="intermediate files")
    parser.add_argument("--only", nargs="+", metavar="STAGE", help="run these stages alone")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    # One thread: results repeat, and small matrices gain nothing from more.
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    Recipe(options.work, options.out).run(options.only or ())
    stale = recordings.changed(RECORDINGS, RECORDINGS_INDEX)
    if stale:
        raise SystemExit(f"frozen recordings changed: {', '.join(stale)}")


if __name__ == "__main__":
    main()
