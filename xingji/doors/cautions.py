"""What an operator should know about how the server runs: in the log at start, in ``/api/health``, on the page."""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from . import Services


@dataclass(frozen=True, slots=True)
class Caution:
    """``code`` is stable; ``zh`` and ``en`` are for people."""

    code: str
    zh: str
    en: str


MINIPACK = Caution(
    "minipack",
    "正在使用内置的试用小模型：只认识合成语音的小词表，请勿用于实际工作。请下载正式模型。",
    "The embedded mini pack is in use: a small vocabulary of synthetic speech, for trying only. "
    "Download the official models for work.",
)
OPEN_TO_ALL = Caution(
    "no_api_keys",
    "服务对外监听，却没有设 API 密钥：连得上的人都可以录音、上传、改热词。请设 XINGJI_API_KEYS。",
    "The server listens to other machines without API keys: whoever reaches it may record, upload and change hotwords. "
    "Set XINGJI_API_KEYS.",
)


def cautions(here: Services) -> Iterator[Caution]:
    if not here.settings.api_keys and not _all_loopback((here.settings.host, *here.hosts)):
        yield OPEN_TO_ALL
    if here.models.minipack:
        yield MINIPACK


def _all_loopback(hosts: Iterable[str]) -> bool:
    return all(host == "localhost" or _is_loopback(host) for host in hosts)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or nothing, which is every address
        return False
