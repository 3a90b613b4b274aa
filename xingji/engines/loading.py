"""Load a funasr model directory, official or mini, by funasr's own loader, quietly and honestly.

``load`` fails with one sentence when a file is missing, the directory holds another kind of
model, or the weights do not fit: the stock loader would download, print a line and go on with
random numbers. Nothing that funasr prints reaches stdout, and it does not touch the logging
set-up of the process. The weights stay in the file, mapped into memory, where processes share
them; the stock loader holds three copies while it works.
"""

import io
import json
import logging
import pickle
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from xingji.core.errors import EngineError
from xingji.core.types import Samples
from xingji.engines import Description, graphs
from xingji.engines.device import out_of_memory
from xingji.engines.graphs import Graphs

log = logging.getLogger(__name__)

FRAME = 400  # samples of one 25 ms analysis frame; anything shorter has no features at all

# What each class needs beside its configuration when no configuration.json names the files.
_FILES = {
    "FsmnVADStreaming": ("model.pt", "am.mvn"),
    "ParaformerStreaming": ("model.pt", "am.mvn", "tokens.json"),
    "CTTransformerStreaming": ("model.pt", "tokens.json"),
    "SenseVoiceSmall": ("model.pt", "am.mvn", "bpe.model"),
}
# Files that decoding needs; a listing may name others (a dictionary for training).
_ROLES = ("init_param", "config", "cmvn_file", "token_list", "bpemodel")

# What a damaged file makes funasr, yaml or torch raise.
_BROKEN = (
    *(RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError),
    *(pickle.UnpicklingError, yaml.YAMLError),
)


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A model in evaluation mode with its companions. ``frontend`` is None for text models.

    Where there are ``graphs`` to compute with, the model has no weights, only its shape.
    """

    model: Any  # torch.nn.Module of the class in the configuration
    frontend: Any
    tokenizer: Any
    device: str
    weights: Path
    graphs: Graphs | None = None

    def describe(self) -> Description:
        return Description(
            model=type(self.model).__name__,
            parameters=sum(p.numel() for p in self.model.parameters()),
            size=self.graphs.size if self.graphs else self.weights.stat().st_size,
            device=self.device,
            runtime="torch float32" if self.graphs is None else f"onnxruntime {self.graphs.precision}",
        )


def load(path: Path, device: str, kind: str, precision: str | None = None) -> Loaded:
    """Load the model of class ``kind`` (a key of ``_FILES``) from ``path`` onto ``device`` ("cpu", "cuda:0").

    ``precision`` is for engines that can compute with graphs: auto (the fastest that is there), float32 or int8.
    Graphs are for the CPU; on another device, and in float32 where there are none, torch computes.

    Sets torch to one thread: two engine threads on one core collapse in OpenMP's spin barriers.
    Raises EngineError; its text names the directory's last part only.
    """
    weights = _check(path, kind)
    chosen = _graphs(weights, device, precision)
    loaded = _load(path, "meta" if chosen else device, kind, weights)
    return replace(loaded, device=device, graphs=chosen)


def _graphs(weights: Path, device: str, precision: str | None) -> Graphs | None:
    if precision is None or device != "cpu":
        return None
    for name in graphs.PRECISIONS:
        if precision in ("auto", name) and (found := graphs.find(weights, name)):
            return found
    if precision == "int8":
        raise EngineError(f"{weights.parent.name}: no int8 graphs; run python download_models.py --optimize")
    return None


def _load(path: Path, device: str, kind: str, weights: Path) -> Loaded:
    """On the device "meta" the model is its shape alone."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise EngineError(f"{path.name}: no CUDA device")  # funasr would run on the CPU without a word
    with _quiet() as printed:
        try:
            auto = _build(path, device, kind)
        except _BROKEN as error:
            if out_of_memory(device, error):
                raise  # not the directory's fault
            raise EngineError(f"{path.name}: cannot be loaded ({type(error).__name__})") from error
    model, frontend = auto.model, auto.kwargs["frontend"]
    if device != "meta":
        _check_weights(path.name, model, printed.getvalue())
    if frontend is not None:
        if frontend.cmvn is None or frontend.cmvn.shape != (2, frontend.output_size()):
            raise EngineError(f"{path.name}: the feature statistics (am.mvn) do not fit the model")
        frontend.dither = 0.0  # the default adds noise: the same audio would give other text
    torch.set_num_threads(1)
    return Loaded(model, frontend, auto.kwargs["tokenizer"], device, weights)


def _build(path: Path, device: str, kind: str) -> Any:
    """funasr's AutoModel of the directory."""
    from funasr import AutoModel

    options = {"disable_update": True, "disable_pbar": True, "ignore_init_mismatch": False}
    try:
        with _mapped(kind, device != "meta"):
            return AutoModel(model=str(path), device=device, ncpu=1, **options)
    except _NotWhole:
        # Tensors that the file lacks need the values that the class begins with; the caller judges which may.
        return AutoModel(model=str(path), device=device, ncpu=1, **options)


class _NotWhole(Exception):
    """The file does not hold every tensor of the model."""


@contextmanager
def _mapped(kind: str, fill: bool) -> Iterator[None]:
    """Have AutoModel build the class without memory and, to ``fill`` it, take the tensors from the file as they lie
    there."""
    from funasr.auto import auto_model
    from funasr.register import tables

    stock_class, stock_loader = tables.model_classes[kind], auto_model.load_pretrained_model

    def bare(**config: Any) -> Any:
        with torch.device("meta"):
            return stock_class(**config)

    def assign(path: str, model: Any, **_: Any) -> None:
        if not fill:
            return
        try:
            state = torch.load(path, map_location="cpu", mmap=True)
        except RuntimeError:  # written in the old format, which cannot be mapped
            state = torch.load(path, map_location="cpu")
        for envelope in ("state_dict", "model_state_dict", "model"):
            state = state.get(envelope, state)
        tensors = {}
        for name, tensor in model.state_dict().items():
            found = state.get(name, state.get(f"module.{name}"))
            if found is None:
                raise _NotWhole
            tensors[name] = found.to(tensor.dtype)  # the tensor itself where that is its type
        model.load_state_dict(tensors, assign=True)
        # What a class keeps beside its state would still be without memory.
        if any(isinstance(x, torch.Tensor) and x.is_meta for part in model.modules() for x in vars(part).values()):
            raise _NotWhole

    tables.model_classes[kind], auto_model.load_pretrained_model = bare, assign
    try:
        yield
    finally:
        tables.model_classes[kind], auto_model.load_pretrained_model = stock_class, stock_loader


@contextmanager
def running() -> Iterator[None]:
    """Run a model: no gradients, and what funasr prints on stdout goes nowhere."""
    with redirect_stdout(io.StringIO()), torch.inference_mode():
        yield


def waveform(samples: Samples) -> torch.Tensor:
    """int16 ``(n,)`` to float32 ``(1, n)`` in [-1, 1), as the front ends want it."""
    return torch.from_numpy(samples.astype(np.float32) / 32768.0).unsqueeze(0)


def steps(samples: Samples, size: int, last: bool) -> list[tuple[Samples, bool]]:
    """A job's samples step by step, and whether a step is the stream's last. What is left over after whole steps,
    be it nothing, is the last one where ``last``; else there must be nothing left over."""
    whole = len(samples) - len(samples) % size
    cut = [(samples[start : start + size], False) for start in range(0, whole, size)]
    return [*cut, (samples[whole:], True)] if last else cut


def _check(path: Path, kind: str) -> Path:
    """Return the weights' file after checking that every file the class needs is there."""
    if not path.is_dir():
        raise EngineError(f"{path.name}: no such model directory")
    named = _named_files(path)
    weights = path / named.get("init_param", "model.pt")
    config = path / named.get("config", "config.yaml")
    needed = {weights, config, *(path / name for name in named.values() or _FILES[kind])}
    missing = sorted(file.name for file in needed if not file.is_file())
    if missing:
        raise EngineError(f"{path.name}: missing {', '.join(missing)}")
    try:
        found = yaml.safe_load(config.read_text("utf-8"))["model"]
    except (yaml.YAMLError, ValueError, LookupError, TypeError) as error:
        raise EngineError(f"{path.name}: {config.name} is not as expected") from error
    if found != kind:
        raise EngineError(f"{path.name}: not a {kind} model")
    return weights


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
        elif role in _ROLES:
            yield role, value


def _check_weights(name: str, model: Any, printed: str) -> None:
    missing = re.findall(r"miss key in ckpt: ([^,\s]+)", printed)
    if any(key.startswith("encoder.") for key in missing):
        raise EngineError(f"{name}: the weights lack {len(missing)} of the model's tensors")
    if missing:
        log.warning("weights incomplete", extra={"model": name, "tensors": missing})
    if not all(bool(torch.isfinite(p).all()) for p in model.parameters()):
        raise EngineError(f"{name}: the weights hold values that are not finite")


@contextmanager
def _quiet() -> Iterator[io.StringIO]:
    """Yield what was printed. funasr calls ``basicConfig`` and logs on the root logger as it pleases."""
    root, printed = logging.getLogger(), io.StringIO()
    root.addFilter(_not_funasr)
    placeholder = logging.NullHandler()  # with a handler present, basicConfig leaves the root alone
    root.addHandler(placeholder)
    try:
        with redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield printed
    finally:
        root.removeHandler(placeholder)


def _not_funasr(record: logging.LogRecord) -> bool:
    """A filter of the root logger sees only what was logged on the root itself: funasr's way."""
    return "funasr" not in Path(record.pathname).parts
