"""A model's directory, official or mini: which files it holds and how the model is configured. Nothing is loaded.

Says in one sentence what is missing or of another kind; funasr would download, or go on with random numbers.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sentencepiece
import yaml

from xingji.core.errors import EngineError

# What each class needs beside its configuration when no configuration.json names the files.
_FILES = {
    "FsmnVADStreaming": {"init_param": "model.pt", "cmvn_file": "am.mvn"},
    "ParaformerStreaming": {"init_param": "model.pt", "cmvn_file": "am.mvn", "token_list": "tokens.json"},
    "CTTransformerStreaming": {"init_param": "model.pt", "token_list": "tokens.json"},
    "SenseVoiceSmall": {"init_param": "model.pt", "cmvn_file": "am.mvn", "bpemodel": "bpe.model"},
}


@dataclass(frozen=True, slots=True)
class Directory:
    """A complete directory. ``files`` are those that its class needs, by their role in configuration.json."""

    path: Path
    kind: str
    config: Mapping[str, Any]
    files: Mapping[str, Path]

    @property
    def weights(self) -> Path:
        return self.files["init_param"]

    def section(self, name: str) -> Mapping[str, Any]:
        """A part of the configuration, "encoder_conf" or the like; empty where there is none."""
        return self.config.get(name) or {}

    def error(self, why: str) -> EngineError:
        return EngineError(f"{self.path.name}: {why}")

    def tokens(self) -> list[str]:
        """The vocabulary, by number. Raises EngineError."""
        file = self.files["token_list"]
        try:
            text = file.read_text("utf-8")
            tokens = text.splitlines() if file.suffix == ".txt" else json.loads(text)
        except ValueError as error:
            raise self.error(f"{file.name} is not as expected") from error
        if not isinstance(tokens, list) or len(set(tokens)) != len(tokens) or "<unk>" not in tokens:
            raise self.error(f"{file.name} is not a vocabulary")
        return tokens

    def pieces(self) -> sentencepiece.SentencePieceProcessor:
        """The vocabulary of pieces. Raises EngineError."""
        file = self.files["bpemodel"]
        try:
            return sentencepiece.SentencePieceProcessor(model_file=str(file))
        except (RuntimeError, OSError) as error:
            raise self.error(f"{file.name} is not as expected") from error


def read(path: Path, kind: str) -> Directory:
    """The directory of a model of class ``kind``, with every file that the class needs.

    Raises EngineError; its text names the directory's last part only.
    """
    if not path.is_dir():
        raise EngineError(f"{path.name}: no such model directory")
    named = _named_files(path)
    config = path / named.get("config", "config.yaml")
    files = {role: path / named.get(role, name) for role, name in _FILES[kind].items()}
    content = _configuration(config) if config.is_file() else {}
    if content is None:
        raise EngineError(f"{path.name}: {config.name} is not as expected")
    if content.get("model", kind) != kind:
        raise EngineError(f"{path.name}: not a {kind} model")
    missing = sorted(file.name for file in {config, *files.values()} if not file.is_file())
    if missing:
        raise EngineError(f"{path.name}: missing {', '.join(missing)}")
    return Directory(path, kind, content, files)


def _configuration(file: Path) -> dict[str, Any] | None:
    """None where it is none."""
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, ValueError):
        return None
    return content if isinstance(content, dict) and "model" in content else None


def _named_files(path: Path) -> dict[str, str]:
    """What configuration.json calls the files, by role; empty where there is no such listing."""
    listing = path / "configuration.json"
    if not listing.is_file():
        return {}
    try:
        return dict(_roles(json.loads(listing.read_text("utf-8"))["file_path_metas"]))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise EngineError(f"{path.name}: {listing.name} is not as expected") from error


def _roles(metas: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for role, value in metas.items():
        if isinstance(value, dict):
            yield from _roles(value)
        else:
            yield role, value
