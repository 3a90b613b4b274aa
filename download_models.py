"""下载官方模型：``python download_models.py``（约 2.1 GB）。 Download the official models.

``--model qwen3-asr-1.7b`` 只下载这一个（可重复），包括缺省不下载的：由 vLLM 提供服务的模型。
``--model qwen3-asr-1.7b`` brings only that one (repeatable), also of those that a vLLM server serves.

退出码：0 全部就绪；1 ``--check`` 发现缺失或损坏；2 用法错误；3 连不上任何模型站；4 没有全部下载成功。
Exit status: 0 all here; 1 --check found something missing or damaged; 2 usage; 3 no hub reachable; 4 not complete.

``--optimize`` 再把模型导出为 ONNX 图（识别模型缺省 int8），CPU 上快三到六倍；写在模型目录里，服务下次启动自动使用。
``--optimize`` also exports the models as ONNX graphs (the recognisers in int8 unless told), three to six times as fast
on a CPU; they lie beside the weights, and the server takes them at its next start.
"""

import argparse
import os
import sys
from pathlib import Path

from xingji.runtime.download import Download, Exit, check
from xingji.runtime.hubs import hubs
from xingji.runtime.models import ModelsMissing, find
from xingji.runtime.optimise import optimise
from xingji.runtime.registry import RegistryError, Store, read
from xingji.settings import Settings

CLIPS = Path(__file__).parent / "tests" / "data" / "speech"


def main() -> int:
    settings = Settings()
    registry = read(settings.registry, settings.default_asr_model, settings.streaming_model)
    entries = {id: entry for id, entry in registry.entries.items() if list(entry.sources())}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=entries, help="只要这个，可重复（only this; repeatable）")
    parser.add_argument("--check", action="store_true", help="离线核对文件与摘要（offline: verify what is here）")
    parser.add_argument(
        "--optimize", nargs="?", const="int8", choices=("int8", "float32"), help="导出加速图（export faster graphs）"
    )
    parser.add_argument("--clips", type=Path, default=CLIPS, help="导出后比较用的录音目录（clips to compare on）")
    chosen = parser.parse_args()
    entries = {id: entries[id] for id in chosen.model} if chosen.model else registry.loaded()
    store = Store(settings.models_cache, settings.hf_cache)
    if chosen.check:
        return check(entries, store, print)
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # a log file wants lines, not bars
    if chosen.optimize and settings.models not in ("auto", "official"):
        return optimise(find(settings.models, store, registry), chosen.optimize, chosen.clips, say)
    done = Download(store, hubs(store), say).run(entries)
    if done or not chosen.optimize:
        return done
    return optimise(find("official", store, registry), chosen.optimize, chosen.clips, say)


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RegistryError, ModelsMissing, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(Exit.FAILED)
    except KeyboardInterrupt:
        sys.exit(130)
