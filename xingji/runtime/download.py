"""Bring the official models here: from ModelScope, else from Hugging Face; whole, or not at all.

A model grows in the store's ``.partial`` and is renamed to its place when every file has the size and
the digest that the hub names; then the digests are locked, and from then on they are what counts.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import chain
from pathlib import Path

from .hubs import Hub, HubError, Remote, Unreachable
from .registry import Digest, Entry, HubName, Locked, Source, Store, damaged, digest

WANTED_SUFFIXES = (".pt", ".yaml", ".json", ".mvn", ".model", ".safetensors", ".jinja")
WANTED_NAMES = ("seg_dict", "tokens.txt", "merges.txt")  # the rest are documents, pictures and examples


class Exit(IntEnum):
    """The exit status of ``download_models.py``; 2 is argparse's for a wrong command line."""

    COMPLETE = 0
    INCOMPLETE = 1  # --check: something is missing or differs
    NO_HUB = 3
    FAILED = 4


@dataclass(frozen=True, slots=True)
class Offer:
    hub: HubName
    source: Source
    files: tuple[Remote, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def check(entries: Mapping[str, Entry], store: Store, say: Callable[[str], None]) -> Exit:
    """Compare what lies here with the locked digests; no network."""
    fine = [_check(id, store, say) for id in entries]
    return Exit.COMPLETE if all(fine) else Exit.INCOMPLETE


def _check(id: str, store: Store, say: Callable[[str], None]) -> bool:
    locked = store.locked().get(id)
    if locked is None:
        say(f"{id}：没有下载记录（not downloaded by this tool）")
        return False
    wrong = damaged(store.folder(locked.hub, locked.repo), locked, digests=True)
    say(f"{id}：缺失或损坏：{'、'.join(wrong)}（missing or damaged）" if wrong else f"{id}：完好（intact）")
    return not wrong


class Download:
    """One run. ``say`` gets the lines for the operator."""

    def __init__(self, store: Store, hubs: Mapping[HubName, Hub], say: Callable[[str], None]) -> None:
        self._store, self._hubs, self._say = store, hubs, say
        self._absent: set[HubName] = set()  # not asked again in this run
        self._answered = False  # did any hub say anything?

    def run(self, entries: Mapping[str, Entry]) -> Exit:
        """Tell all sizes, then bring what is not here and intact."""
        missing = [id for id in entries if not _check(id, self._store, lambda line: None)]
        for id in (id for id in entries if id not in missing):
            self._say(f"{id}：完好，无需下载（intact, nothing to do）")
        plan: list[tuple[str, Offer, Iterator[Offer]]] = []
        for id in missing:
            offers = self._offers(entries[id])
            first = next(offers, None)
            if first is not None:
                self._say(f"{id}：{first.hub} {first.source.repo}@{first.source.revision}，{_mb(first.size)}")
                plan.append((id, first, offers))
        if plan:
            self._say(f"共 {_mb(sum(first.size for _, first, _ in plan))}（in total）")
        done = [any(self._accept(id, offer) for offer in chain((first,), more)) for id, first, more in plan]
        if len(plan) == len(missing) and all(done):
            return Exit.COMPLETE
        if not self._answered:
            self._say("连不上任何模型站：请检查网络和代理，或把模型目录复制到缓存目录的 models/ 下。")
            self._say("No model hub can be reached: check network and proxy, or copy the model directories to models/.")
            return Exit.NO_HUB
        self._say("没有全部下载；再运行一次会从断开处继续。（Not complete; run again to continue.）")
        return Exit.FAILED

    def _offers(self, entry: Entry) -> Iterator[Offer]:
        """What each hub that answers has of it, asked one after another."""
        for hub, source in entry.sources():
            if hub in self._absent:
                continue
            try:
                files = tuple(
                    replace(file, sha256=file.sha256 or entry.digests.get(file.name))
                    for file in self._hubs[hub].files(source)
                    if _wanted(file.name)
                )
                needed = entry.runs_on.files
                if not all(any(file.name.endswith(end) for file in files) for end in needed):
                    raise HubError(f"没有 {' 和 '.join(needed)}（no model of this kind there）")
            except Unreachable as error:
                self._absent.add(hub)
                self._say(f"连不上 {hub}（cannot reach {hub}）：{error}")
            except HubError as error:
                self._answered = True
                self._say(f"{hub} {source.repo}@{source.revision}：{error}")
            else:
                self._answered = True
                yield Offer(hub, source, files)

    def _accept(self, id: str, offer: Offer) -> bool:
        """Bring one model from one hub. False, and a line that says why, where that fails."""
        if offer.hub in self._absent:
            return False
        try:
            expected, stage, files = self._expected(id, offer), self._staged(offer), {}
            for number, file in enumerate(expected, 1):
                self._say(f"{id} [{number}/{len(expected)}] {file.name} {_mb(file.size)}")
                files[file.name] = self._file(offer, file, stage)
            self._finish(id, offer, stage, files)
        except HubError as error:
            if isinstance(error, Unreachable):
                self._absent.add(offer.hub)
            self._say(f"{id}：从 {offer.hub} 下载失败（failed）：{error}")
            return False
        self._say(f"{id}：完成（done）")
        return True

    def _expected(self, id: str, offer: Offer) -> list[Remote]:
        """The files of the offer. What was locked of a revision may not be something else today."""
        locked = self._store.locked().get(id)
        if locked is None or (locked.hub, locked.repo, locked.revision) != _origin(offer):
            return list(offer.files)
        was, now = locked.files, {file.name: file for file in offer.files}
        changed = [name for name in was if name not in now or now[name].sha256 not in (None, was[name].sha256)]
        if changed:
            raise HubError(
                f"{'、'.join(changed)} 与 models.lock.json 不符；要用新版，请删去其中的 {id} 一项"
                "（differs from the lock; remove the entry to accept what the hub has now）"
            )
        return [replace(file, sha256=was[file.name].sha256) if file.name in was else file for file in offer.files]

    def _staged(self, offer: Offer) -> Path:
        """The growing directory. It begins with what lies in the final one, so that only what is wrong is fetched."""
        stage = self._store.stage(offer.hub, offer.source.repo)
        final = self._store.folder(offer.hub, offer.source.repo)
        stage.parent.mkdir(parents=True, exist_ok=True)
        if final.is_dir() and not stage.exists():
            shutil.copytree(final, stage, copy_function=_link)
        stage.mkdir(exist_ok=True)
        return stage

    def _file(self, offer: Offer, file: Remote, stage: Path) -> Digest:
        path = stage / file.name
        if (here := _verified(path, file)) is not None:
            return here
        path.unlink(missing_ok=True)
        self._hubs[offer.hub].fetch(offer.source, file, stage)
        if (here := _verified(path, file)) is not None:
            return here
        path.unlink(missing_ok=True)
        raise HubError(f"{file.name} 与模型站给出的摘要不符（does not match the hub's digest）")

    def _finish(self, id: str, offer: Offer, stage: Path, files: dict[str, Digest]) -> None:
        shutil.rmtree(stage / ".cache", ignore_errors=True)  # the Hugging Face client's notes
        final = self._store.folder(offer.hub, offer.source.repo)
        final.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(final, ignore_errors=True)
        stage.rename(final)
        hub, repo, revision = _origin(offer)
        self._store.lock(self._store.locked() | {id: Locked(hub=hub, repo=repo, revision=revision, files=files)})


def _origin(offer: Offer) -> tuple[HubName, str, str]:
    return offer.hub, offer.source.repo, offer.source.revision


def _link(here: str, there: str) -> None:
    """The same file under a second name, where the file system can; nobody writes into it."""
    try:
        os.link(here, there)
    except OSError:
        shutil.copyfile(here, there)


def _wanted(name: str) -> bool:
    return "/" not in name and (name in WANTED_NAMES or name.endswith(WANTED_SUFFIXES))


def _verified(path: Path, file: Remote) -> Digest | None:
    """The file's digest if it is what the hub names; git's digest serves where there is no SHA-256."""
    if not path.is_file() or path.stat().st_size != file.size:
        return None
    here = digest(path)
    if file.sha256 is not None:
        return here if here.sha256 == file.sha256 else None
    if file.blob is not None:
        content = path.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        return here if blob == file.blob else None
    return here


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
