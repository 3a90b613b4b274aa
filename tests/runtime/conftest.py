"""Fixtures for everything between a wire and the workers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.fakes import PATIENCE_S, Engines, Unpronounceable
from xingji.core.messages import Profile
from xingji.runtime.backup import Backups
from xingji.runtime.driver import Clocks
from xingji.runtime.headroom import Headroom
from xingji.runtime.hotword_tables import HotwordTables
from xingji.runtime.hub import Hub, Limits
from xingji.runtime.metrics import Metrics
from xingji.runtime.recognisers import Place, Recogniser, Recognisers, Rules
from xingji.runtime.registry import Entry, read

MakeHub = Callable[..., Hub]


@pytest.fixture
def engines() -> Engines:
    """The pool and the corrector of ``make_hub``'s hubs."""
    return Engines()


@pytest.fixture
def tables(tmp_path: Path) -> HotwordTables:
    """The named tables of ``make_hub``'s hubs."""
    return HotwordTables(tmp_path / "tables", Unpronounceable())


@pytest.fixture
def make_hub(engines: Engines, tables: HotwordTables) -> Iterator[MakeHub]:
    """Hubs whose recordings have all ended when the test ends."""
    hubs: list[Hub] = []

    def make(
        clocks: Clocks | None = None,
        limits: Limits | None = None,
        llm: bool = False,
        chunk: int = Profile().chunk,
        backup: Path | None = None,
        headroom: Headroom | None = None,
        metrics: Metrics | None = None,
        recognisers: Recognisers | None = None,
        streams: bool = True,
    ) -> Hub:
        corrections: Any = Corrections(engines) if llm else None
        pool: Any = engines
        model = "Qwen3-8B" if llm else None
        parts = pool, corrections, model, Unpronounceable()
        kept = Backups(backup, 24.0), metrics or Metrics(), headroom or Headroom(0.85)
        who = recognisers or Recognisers(read(), {}, nobody, Rules(), kept[1])
        hub = Hub(*parts, clocks or Clocks(), limits or Limits(), tables, chunk, *kept, who, streams=streams)
        hubs.append(hub)
        return hub

    yield make
    engines.let_go()
    for hub in hubs:
        hub.drain(PATIENCE_S)


def nobody(entry: Entry, place: Place) -> Recogniser:
    raise AssertionError("no server is set up")


class Corrections:
    """The corrector's side of ``Engines``."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    def submit(self, stream: int, job: Any, done: Any) -> None:
        self._engines.submit(-1, job, done)
