"""Load funasr's own class from a directory by funasr's own loader, quietly and honestly, and run networks in torch.

``load`` fails with one sentence where the weights do not fit; the stock loader would print a line and go on with
random numbers. Nothing that funasr prints reaches stdout, and it does not touch the logging set-up of the process.
The weights stay in the file, mapped into memory, where processes share them; the stock loader holds three copies
while it works.
"""

import io
import logging
import pickle
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from xingji.core.errors import EngineError
from xingji.engines.device import out_of_memory
from xingji.engines.directory import Directory

log = logging.getLogger(__name__)

# What a damaged file makes funasr, yaml or torch raise.
_BROKEN = (
    *(RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError),
    *(pickle.UnpicklingError, yaml.YAMLError),
)


class TorchNetwork:
    """A network in torch, on any device; a ``Network`` (see ``loading``). Use from one thread."""

    def __init__(self, module: nn.Module, device: str, half: bool = False) -> None:
        """``half``: products in float16, and so what is looked back on; sums, norms and softmax stay float32."""
        self._module, self._device, self._half = module.eval(), device, half
        for part in module.modules() if half else ():
            if isinstance(part, nn.Linear):
                part.half()  # or every call would do so again

    def __call__(self, *inputs: Any) -> Any:
        kind = torch.device(self._device).type
        with torch.inference_mode(), torch.autocast(kind, torch.float16, enabled=self._half):
            return self._module(*(self._there(given) for given in inputs))

    def zeros(self, *shape: int) -> Any:
        return torch.zeros(shape, device=self._device, dtype=torch.float16 if self._half else torch.float32)

    def stacked(self, kept: Sequence[Any]) -> Any:
        return torch.stack(list(kept), dim=1)

    def fetched(self, result: Any) -> Any:
        return (result.float() if result.dtype == torch.float16 else result).cpu().numpy()

    def _there(self, given: Any) -> Any:
        return given if isinstance(given, torch.Tensor) else torch.from_numpy(given).to(self._device)


def load(directory: Directory, device: str) -> Any:
    """The model of the directory's class, in evaluation mode on ``device`` ("cpu", "cuda:0").

    Sets torch to one thread: two engine threads on one core collapse in OpenMP's spin barriers.
    Raises EngineError.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise directory.error("no CUDA device")  # funasr would run on the CPU without a word
    with _quiet() as printed:
        try:
            model = _build(directory.path, device, directory.kind).model
        except _BROKEN as error:
            if out_of_memory(device, error):
                raise  # not the directory's fault
            raise directory.error(f"cannot be loaded ({type(error).__name__})") from error
    _check_weights(directory.path.name, model, printed.getvalue())
    torch.set_num_threads(1)
    return model.eval()


def _build(path: Path, device: str, kind: str) -> Any:
    """funasr's AutoModel of the directory."""
    from funasr import AutoModel

    options = {"disable_update": True, "disable_pbar": True, "ignore_init_mismatch": False}
    try:
        with _mapped(kind):
            return AutoModel(model=str(path), device=device, ncpu=1, **options)
    except _NotWhole:
        # Tensors that the file lacks need the values that the class begins with; the caller judges which may.
        return AutoModel(model=str(path), device=device, ncpu=1, **options)


class _NotWhole(Exception):
    """The file does not hold every tensor of the model."""


@contextmanager
def _mapped(kind: str) -> Iterator[None]:
    """Have AutoModel build the class without memory and take the tensors from the file as they lie there."""
    from funasr.auto import auto_model
    from funasr.register import tables

    stock_class, stock_loader = tables.model_classes[kind], auto_model.load_pretrained_model

    def bare(**config: Any) -> Any:
        with torch.device("meta"):
            return stock_class(**config)

    def assign(path: str, model: Any, **_: Any) -> None:
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
