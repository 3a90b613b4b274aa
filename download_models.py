"""下载官方模型：``python download_models.py``（约 2.1 GB）。 Download the official models.

退出码：0 全部就绪；1 ``--check`` 发现缺失或损坏；2 用法错误；3 连不上任何模型站；4 没有全部下载成功。
Exit status: 0 all here; 1 --check found something missing or damaged; 2 usage; 3 no hub reachable; 4 not complete.
"""

import argparse
import os
import sys

from xingji.runtime.download import Download, Exit, check
from xingji.runtime.hubs import hubs
from xingji.runtime.registry import RegistryError, Store, official
from xingji.settings import Settings


def main() -> int:
    entries = official()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=entries, help="只要这个，可重复（only this; repeatable）")
    parser.add_argument("--check", action="store_true", help="离线核对文件与摘要（offline: verify what is here）")
    chosen = parser.parse_args()
    entries = {id: entry for id, entry in entries.items() if id in (chosen.model or entries)}
    settings = Settings()
    store = Store(settings.models_cache, settings.hf_cache)
    if chosen.check:
        return check(entries, store, print)
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # a log file wants lines, not bars
    return Download(store, hubs(store), lambda line: print(line, flush=True)).run(entries)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RegistryError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(Exit.FAILED)
    except KeyboardInterrupt:
        sys.exit(130)
