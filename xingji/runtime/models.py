"""Which model directories are in use: the official ones, the embedded mini pack, or a directory of the user's."""

from dataclasses import dataclass
from pathlib import Path

PARTS = ("vad", "paraformer", "punc", "sensevoice")

OFFICIAL = {
    "paraformer": "iic/speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-online",
    "punc": "iic/punc_ct-transformer_zh-cn-common-vad_realtime-vocab272727",
    "vad": "iic/speech_fsmn_vad_zh-cn-16k-common-pytorch",
    "sensevoice": "iic/SenseVoiceSmall",
}

MINIPACK = Path(__file__).resolve().parents[1] / "minipack"


class ModelsMissing(Exception):
    """The models that were asked for are not there. Its text is for the operator."""


@dataclass(frozen=True, slots=True)
class ModelSet:
    source: str  # official, minipack, directory
    paths: dict[str, Path]
    names: dict[str, str]

    @property
    def minipack(self) -> bool:
        return self.source == "minipack"


def find(wanted: str, cache: Path) -> ModelSet:
    """``wanted``: auto, official, minipack or a directory with the four parts. Raises ModelsMissing."""
    if wanted == "minipack":
        return _directory("minipack", MINIPACK)
    if wanted in ("auto", "official"):
        official = {part: cache / "models" / id for part, id in OFFICIAL.items()}
        missing = [OFFICIAL[part] for part, path in official.items() if not _holds_model(path)]
        if not missing:
            return ModelSet("official", {p: path.resolve() for p, path in official.items()}, dict(OFFICIAL))
        if wanted == "official":
            raise ModelsMissing(f"官方模型还没有下载：{'、'.join(missing)}（official models are not downloaded）")
        return _directory("minipack", MINIPACK)
    return _directory("directory", Path(wanted))


def _directory(source: str, root: Path) -> ModelSet:
    paths = {part: (root / part).resolve() for part in PARTS}
    missing = [part for part, path in paths.items() if not _holds_model(path)]
    if missing:
        raise ModelsMissing(f"模型目录里缺少：{'、'.join(missing)}（missing in the model directory）")
    return ModelSet(source, paths, {part: f"{source}/{part}" for part in PARTS})


def _holds_model(path: Path) -> bool:
    return (path / "config.yaml").is_file() and any(path.glob("model.*"))
