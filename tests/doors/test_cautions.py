"""What an operator is told, and when."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from xingji.doors.cautions import MINIPACK, OPEN_TO_ALL, cautions
from xingji.settings import Settings


def told(host: str = "127.0.0.1", hosts: tuple[str, ...] = (), minipack: bool = False, **more: Any) -> list[str]:
    settings = Settings(_env_file=None, host=host, **more)
    here: Any = SimpleNamespace(settings=settings, hosts=hosts, models=SimpleNamespace(minipack=minipack))
    return [caution.code for caution in cautions(here)]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_machine_alone_needs_no_key(host: str) -> None:
    assert told(host) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "asr.example.com"])
def test_others_without_a_key_are_told(host: str) -> None:
    assert told(host) == ["no_api_keys"]
    assert told(host, api_keys=("a",)) == []


def test_where_another_server_listens_counts_too() -> None:
    assert told(hosts=("127.0.0.1",)) == [] and told(hosts=("127.0.0.1", "0.0.0.0")) == ["no_api_keys"]


def test_the_mini_pack_is_told_beside_it() -> None:
    assert told(minipack=True) == ["minipack"]
    assert told("0.0.0.0", minipack=True) == ["no_api_keys", "minipack"]


@pytest.mark.parametrize("caution", [MINIPACK, OPEN_TO_ALL])
def test_both_languages(caution: Any) -> None:
    han = re.compile(r"[一-鿿]")
    assert han.search(caution.zh) and not han.search(caution.en)
