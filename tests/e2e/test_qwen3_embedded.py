"""Qwen3-ASR in a process of its own: chosen like any other, and clear about it where it cannot run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.test_qwen3_asr import record, upload
from tests.runtime.qwen3_worker import SAYS, interpreter, weights
from tests.support import ROOT, Server

MODEL, ALIGNER = "qwen3-asr-0.6b", "qwen3-forced-aligner-0.6b"


def settings(folder: Path, **more: str) -> dict[str, str]:
    return {"QWEN3_ASR_EMBEDDED": MODEL, "MODELSCOPE_CACHE": str(folder / "cache"), "DEFAULT_ASR_MODEL": MODEL} | more


def test_it_is_chosen_like_any_other(models: Path, tmp_path: Path) -> None:
    """The process is real, its library and its GPU are played."""
    weights(tmp_path / "cache")
    with Server(tmp_path, **settings(tmp_path, QWEN3_ASR_PYTHON=str(interpreter(tmp_path)))) as server:
        first = upload(server)  # starts it, and does not wait for it
        assert (first["model"], first["fallback"]) in (("SenseVoice", "not_ready"), ("Qwen3-ASR-0.6B", None))
        server.wait(lambda: server.get("/api/health").json()["recognisers"][MODEL]["reachable"], 60)
        data = upload(server, hotwords="星纪")
        assert (data["text"], data["model"], data["fallback"]) == (f"{SAYS}星纪。", "Qwen3-ASR-0.6B", None)
        (sentence,) = record(server, model=MODEL, language="zh").named("final_result")[0]["sentences"]
        assert (sentence["source"], sentence["text"], sentence["fallback"]) == (MODEL, f"{SAYS}。", None)
        assert upload(server, model="sensevoice")["model"] == "SenseVoice"
        assert "xingji_qwen3_qwen3_asr_0_6b_worker_ready 1.0" in server.get("/metrics").text


def test_its_aligner_says_when_words_were_said(models: Path, tmp_path: Path) -> None:
    """Both processes are real, their library and their GPU are played."""
    weights(tmp_path / "cache")
    weights(tmp_path / "cache", "Qwen/Qwen3-ForcedAligner-0.6B")
    both = {"QWEN3_ASR_EMBEDDED": f"{MODEL},{ALIGNER}", "QWEN3_ASR_PYTHON": str(interpreter(tmp_path))}
    with Server(tmp_path, **settings(tmp_path, **both)) as server:
        upload(server)
        for id in (MODEL, ALIGNER):
            server.wait(lambda id=id: server.get("/api/health").json()["recognisers"][id]["reachable"], 60)
        (sentence,) = record(server, model=MODEL).named("final_result")[0]["sentences"]
        assert (sentence["text"], sentence["timestamp_source"]) == (f"{SAYS}。", "aligner")
        begin = sentence["start_ms"]
        times = [(word["text"], word["start_ms"], word["end_ms"]) for word in sentence["words"]]
        assert times == [(c, begin + 100 * at, begin + 100 * (at + 1)) for at, c in enumerate(SAYS)]
        listed = {one["id"]: one for one in server.get("/api/asr/models").json()["data"]["models"]}
        assert listed[ALIGNER]["available"] and listed[ALIGNER]["role"] == "aligner"


def test_without_a_gpu_it_says_so_and_sensevoice_reads(models: Path, tmp_path: Path) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a GPU")
    weights(tmp_path / "cache")
    with Server(tmp_path, **settings(tmp_path)) as server:
        data = upload(server)
        assert data["model"] == "SenseVoice" and data["fallback"] in ("not_ready", "unavailable")
        server.wait(lambda: server.get("/api/health").json()["recognisers"][MODEL]["problem"] == "unavailable", 60)
        assert upload(server)["fallback"] == "unavailable"
        assert "embedded Qwen3-ASR needs an NVIDIA GPU; without one, set QWEN3_VLLM_HOST" in server.log.read_text(
            "utf-8"
        )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "python download_models.py --model qwen3-asr-0.6b"),
        ({"QWEN3_ASR_EMBEDDED": "sensevoice"}, "QWEN3_ASR_EMBEDDED: sensevoice"),
        ({"QWEN3_ASR_EMBEDDED": "whisper"}, "QWEN3_ASR_EMBEDDED: whisper"),
        ({"QWEN3_ASR_PYTHON": "/no/such/python"}, "QWEN3_ASR_PYTHON: "),
        ({"QWEN3_ASR_EMBEDDED": ""}, "缺省模型 qwen3-asr-0.6b 没有配置地址"),
    ],
)
def test_what_cannot_work_does_not_start(tmp_path: Path, more: dict[str, str], said: str) -> None:
    own = settings(tmp_path, **more) | {"XINGJI_MODELS": "minipack", "XINGJI_PORT": "0"}
    command = [sys.executable, "asr_api_server.py"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | own, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr
