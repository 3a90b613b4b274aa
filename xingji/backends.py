"""What runs elsewhere: second-pass recognisers and the corrector, on servers that the settings name, or in processes of
their own on this machine's GPU. Part of the composition root: from settings and the registry to what the hub asks.
"""

import atexit
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from .runtime.correcting import Corrections
from .runtime.link import SLOW_STARTS, Link
from .runtime.metrics import Metrics
from .runtime.models import embedded as embedded_model
from .runtime.recognisers import Place, Recogniser, Recognisers, Rules
from .runtime.registry import Entry, Registry, RegistryError, Store
from .settings import Settings

EMBEDDED = {"qwen3_asr": "qwen3", "qwen3_aligner": "aligner"}  # engine → role of the worker that runs it here


def recognisers(settings: Settings, registry: Registry, metrics: Metrics) -> Recognisers:
    from .engines.qwen3_asr import Qwen3Asr

    def make(entry: Entry, place: Place) -> Recogniser:
        return Qwen3Asr(
            place.url,
            entry.models.offline or entry.repo,
            api_key=settings.qwen3_vllm_api_key,
            instruction=entry.extra.instruction,
            timeout_s=settings.qwen3_asr_timeout_s,
            connections=settings.qwen3_asr_concurrency + 1,  # the watch's
        )

    rules = Rules(
        settings.qwen3_asr_concurrency,
        check_s=settings.qwen3_asr_check_s,
        hosts=settings.qwen3_vllm_allowed_hosts,
    )
    return Recognisers(
        registry,
        places(settings, registry),
        make,
        rules,
        metrics,
        embedded(settings, registry, metrics),
        settings.word_times_wait_s,
    )


def embedded(settings: Settings, registry: Registry, metrics: Metrics) -> dict[str, Callable[[], Link]]:
    """How to start the processes of models that are to run here. Raises RegistryError, ModelsMissing."""
    store = Store(settings.models_cache, settings.hf_cache)
    python = shutil.which(settings.qwen3_asr_python or sys.executable)
    if python is None:
        raise RegistryError("QWEN3_ASR_PYTHON: 没有这个程序（there is no such program）")
    found: dict[str, Callable[[], Link]] = {}
    for id in settings.qwen3_asr_embedded:
        engine = registry.entries[id].engine if id in registry.entries else ""
        if engine not in EMBEDDED:
            raise RegistryError(
                f"QWEN3_ASR_EMBEDDED: {id} 不是 {'、'.join(EMBEDDED)} 的模型（no model of these engines）"
            )
        setup = {
            "models": {engine: str(embedded_model(id, registry, store))},
            "device": settings.device if settings.device.startswith("cuda") else "cuda",
            "mps": False,
            "precision": "auto",
            "log_level": settings.log_level,
            "options": {"share": settings.qwen3_asr_gpu_share} if engine == "qwen3_asr" else {},
        }
        limits = settings.job_timeout_s, SLOW_STARTS * settings.start_timeout_s
        found[id] = partial(_start_embedded, id, EMBEDDED[engine], setup, limits, metrics, os.path.abspath(python))
    return found


def _start_embedded(
    id: str, role: str, setup: dict[str, Any], limits: tuple[float, float], metrics: Metrics, python: str
) -> Link:
    link = Link(role, setup, *limits, metrics, python)
    atexit.register(link.close)
    metrics.watch_worker("qwen3_" + "".join(c if c.isalnum() else "_" for c in id), link)
    return link


def places(settings: Settings, registry: Registry) -> dict[str, Place]:
    """Where models are served: what the registry says, else the model's own variables, else the common ones."""
    common = {"qwen3_asr": (settings.qwen3_vllm_host, settings.qwen3_vllm_port)}
    own = {
        "qwen3-asr-1.7b": (settings.qwen3_vllm_host_1_7b, settings.qwen3_vllm_port_1_7b),
        "qwen3-asr-0.6b": (settings.qwen3_vllm_host_0_6b, settings.qwen3_vllm_port_0_6b),
        "Qwen/Qwen2-Audio-7B-Instruct": (settings.qwen2_audio_vllm_host, settings.qwen2_audio_vllm_port),
    }
    found = {}
    for id, entry in registry.of("segment").items():
        said = entry.extra_kwargs.vllm_host, entry.extra_kwargs.vllm_port
        ways = said, own.get(id, ("", None)), common.get(entry.engine, ("", None))
        host = next((host for host, _ in ways if host), None)
        if host and entry.runs_on.http:
            found[id] = Place(host, next((port for _, port in ways if port), None))
    return found


def llm_model(settings: Settings, registry: Registry) -> str:
    """The name under which the corrector is served."""
    entry = registry.entries.get(registry.defaults.get("corrector", ""))
    return settings.llm_model or (entry.models.offline if entry else None) or ""


def corrections(settings: Settings, registry: Registry) -> Corrections | None:
    if not settings.llm_api_url:
        return None
    from .engines.qwen3 import Qwen3Corrector

    corrector = Qwen3Corrector(
        settings.llm_api_url, settings.llm_api_key, llm_model(settings, registry), timeout_s=settings.llm_timeout_s
    )
    return Corrections(corrector, settings.llm_concurrency, settings.llm_timeout_s)
