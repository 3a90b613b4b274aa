"""Audio from an address that a client names, without lending it our place in the network.

A name is looked up once for each hop, what it leads to is judged, and the connection goes to that very address: a
name that leads elsewhere a moment later gains nothing. Redirects are judged like the first address.
"""

import socket
import ssl
import time
from collections.abc import Collection, Iterable
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any

import httpcore2
import httpx2

from ..audio import Halt, Halted
from ..core.errors import XingjiError
from ..engines.deadline import DeadlineNetwork, until
from .green import offload
from .job_database import meaning

REDIRECTS = 3
CONNECT_S, READ_S = 10.0, 30.0
MOVED = (301, 302, 303, 307, 308)
HEADERS = ((b"Accept", b"*/*"), (b"Accept-Encoding", b"identity"), (b"User-Agent", b"xingji"))

# Beside what ``ipaddress`` knows, whose lists grow with Python's versions.
_UNFIT = tuple(
    ip_network(net)
    for net in (
        "192.0.0.0/24",  # special purposes
        "192.88.99.0/24",  # 6to4 relays
        "168.63.129.16/32",  # what Azure's machines ask about themselves
        "2001::/23",  # Teredo, ORCHID and other special purposes
        "2001:db8::/32",
        "2002::/16",  # 6to4: holds an IPv4 address
        "3fff::/20",
    )
)
_UNICAST = ip_network("2000::/3")  # outside are mapped IPv4, NAT64, unique local, link-local, multicast


def is_public(address: str) -> bool:
    """May a stranger have us connect there? Only to what everybody can reach."""
    ip = ip_address(address)
    fits = ip.is_global and not (ip.is_multicast or ip.is_reserved)
    if isinstance(ip, IPv6Address):
        fits = fits and ip in _UNICAST
    return fits and not any(ip in net for net in _UNFIT if net.version == ip.version)


def checked(url: str) -> httpx2.URL:
    """``url`` where it can be one that is fetched. Raises XingjiError("url_refused")."""
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError) as error:
        raise _refused() from error
    port = 80 if parsed.port is None else parsed.port
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo or not 0 < port < 65536:
        raise _refused()
    return parsed


class Pinned(httpcore2.NetworkBackend):
    """Connects to the address that it has judged, whatever the name leads to later."""

    def __init__(self, hosts: Collection[str], network: httpcore2.NetworkBackend | None = None) -> None:
        """``hosts`` may be anywhere."""
        self._hosts, self._network = hosts, network or DeadlineNetwork()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        *others, last = self._addresses(host, port)
        for address in others:
            try:
                return self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return self._network.connect_tcp(last, port, timeout, local_address, socket_options)

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise XingjiError("fetch_failed", field="url") from error
        addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
        fit = [address for address in addresses if host.lower() in self._hosts or is_public(address)]
        if not fit:
            raise _refused()
        return fit


class Fetcher:
    """A ``job_runner.Fetch``, with limits."""

    def __init__(self, hosts: Collection[str], most: int, timeout_s: float) -> None:
        """``hosts`` may be anywhere, others only where everybody can reach them. ``most``: bytes of one file,
        ``timeout_s``: for all of it."""
        self._hosts = frozenset(host.lower() for host in hosts)
        self._most, self._timeout_s = most, timeout_s
        self._trust = ssl.create_default_context()

    def check(self, url: str) -> None:
        checked(url)

    def __call__(self, url: str, path: Path, room: int, halt: Halt) -> None:
        """Write what ``url`` gives to ``path``. Raises XingjiError: url_refused, fetch_failed, too_large, storage_full;
        Halted."""
        at = checked(url)
        pool = httpcore2.ConnectionPool(
            ssl_context=self._trust, max_keepalive_connections=0, network_backend=Pinned(self._hosts)
        )
        try:
            with pool, until(time.monotonic() + self._timeout_s, time.monotonic):
                for _ in range(REDIRECTS + 1):
                    moved = self._get(pool, at, path, room, halt)
                    if moved is None:
                        return
                    at = checked(str(at.join(moved)))
        except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise XingjiError("fetch_failed", field="url") from error
        except OSError as error:
            raise meaning(error) from error
        raise XingjiError("fetch_failed", field="url")  # moved too often

    def _get(self, pool: httpcore2.ConnectionPool, at: httpx2.URL, path: Path, room: int, halt: Halt) -> str | None:
        """Where to ask instead, or None."""
        url = httpcore2.URL(scheme=at.raw_scheme, host=at.raw_host, port=at.port, target=at.raw_path)
        timeout = {"connect": CONNECT_S, "read": READ_S, "write": READ_S, "pool": CONNECT_S}
        host = (b"Host", at.netloc)
        with pool.stream("GET", url, headers=[host, *HEADERS], extensions={"timeout": timeout}) as response:
            told = {name.lower(): value.decode("latin-1") for name, value in response.headers}
            if response.status in MOVED and b"location" in told:
                return told[b"location"]
            if response.status != 200 or told.get(b"content-encoding", "identity") != "identity":
                raise XingjiError("fetch_failed", field="url")
            if told.get(b"content-length", "0").isdigit():
                self._check(int(told.get(b"content-length", "0")[:20]), room)
            self._save(response.iter_stream(), path, room, halt)
        return None

    def _save(self, parts: Iterable[bytes], path: Path, room: int, halt: Halt) -> None:
        size = 0
        with path.open("wb", buffering=1 << 20) as file:
            for part in parts:
                size += len(part)
                self._check(size, room)
                if halt.asked:
                    raise Halted
                offload(file.write, part)
            offload(file.flush)

    def _check(self, size: int, room: int) -> None:
        if size > self._most:
            raise XingjiError("too_large", field="url")
        if size > room:
            raise XingjiError("storage_full")


def _refused() -> XingjiError:
    return XingjiError("url_refused", field="url")
