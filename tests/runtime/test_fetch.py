"""Addresses that clients name lead to what everybody can reach, and to nothing else, whatever names say."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpcore2
import pytest

from xingji.audio import Halt, Halted
from xingji.core.errors import XingjiError
from xingji.runtime import fetch as fetch_module
from xingji.runtime.fetch import REDIRECTS, Fetcher, Pinned, checked, is_public

HERE = "127.0.0.1"
LARGE = 1 << 30


def code(work: Callable[[], object]) -> str:
    with pytest.raises(XingjiError) as caught:
        work()
    return caught.value.code


# -- what is judged ---------------------------------------------------------------------

PUBLIC = ("8.8.8.8", "1.1.1.1", "223.5.5.5", "2606:4700:4700::1111", "2400:3200::1")
PRIVATE = {
    "this network": ("0.0.0.0", "0.1.2.3"),
    "private": ("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    "shared, and Alibaba's metadata": ("100.64.0.1", "100.100.100.200"),
    "loopback": ("127.0.0.1", "127.9.9.9", "::1"),
    "link-local, and clouds' metadata": ("169.254.169.254", "fe80::1", "fe80::1%eth0", "fd00:ec2::254"),
    "Azure's own": ("168.63.129.16",),
    "special purposes": ("192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"),
    "multicast": ("224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"),
    "reserved": ("240.0.0.1", "255.255.255.255", "4000::1", "5f00::1"),
    "unspecified": ("::",),
    "unique local": ("fc00::1", "fdff::1"),
    "site-local": ("fec0::1",),
    "mapped IPv4": ("::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0a00:1"),
    "compatible IPv4": ("::127.0.0.1", "::8.8.8.8"),
    "NAT64": ("64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1"),
    "6to4": ("2002:7f00:1::1", "2002:808:808::1", "192.88.99.1"),
    "Teredo": ("2001:0:7f00:1::1",),
    "discarding, benchmarks, ORCHID, documents": ("100::1", "2001:2::1", "2001:20::1", "2001:db8::1", "3fff::1"),
}


@pytest.mark.parametrize("address", PUBLIC)
def test_what_everybody_can_reach(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(("kind", "address"), [(kind, a) for kind, addresses in PRIVATE.items() for a in addresses])
def test_what_only_we_can_reach(kind: str, address: str) -> None:
    assert not is_public(address), kind


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.wav",
        "//example.org/a.wav",
        "ftp://example.org/a.wav",
        "file:///etc/passwd",
        "gopher://example.org/",
        "data:audio/wav;base64,AAAA",
        "http://",
        "http:///a.wav",
        "https://user:secret@example.org/a.wav",
        "https://user@example.org/a.wav",
        "http://example.org:99999/",
        "http://example.org:0/",
        "http://[::1",
        "http://exa mple.org\r\nHost: x/",
    ],
)
def test_what_is_no_address_to_fetch_from(url: str) -> None:
    assert code(lambda: checked(url)) == "url_refused"


# -- where the connection goes ------------------------------------------------------------


class Network(httpcore2.NetworkBackend):
    """Notes where it is to connect; the first ``dead`` of them do not answer."""

    def __init__(self, dead: int = 0) -> None:
        self.asked: list[str] = []
        self._dead = dead

    def connect_tcp(self, host: str, *_: Any, **more: Any) -> Any:
        self.asked.append(host)
        if len(self.asked) <= self._dead:
            raise httpcore2.ConnectError
        return "a stream"


class Names:
    """Answers look-ups one after another; the last answer for ever."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answer]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Names]:
    def make(*answers: tuple[str, ...]) -> Names:
        names = Names(*answers)
        monkeypatch.setattr(fetch_module.socket, "getaddrinfo", names)
        return names

    return make


def test_a_name_that_leads_elsewhere_a_moment_later_gains_nothing(names: Callable[..., Names]) -> None:
    looked_up, network = names(("8.8.8.8",), (HERE,)), Network()
    assert Pinned((), network).connect_tcp("rebind.example", 80) == "a stream"
    assert (network.asked, looked_up.asked) == (["8.8.8.8"], 1)
    assert code(lambda: Pinned((), network).connect_tcp("rebind.example", 80)) == "url_refused"
    assert network.asked == ["8.8.8.8"]


def test_only_what_is_public_of_several_addresses_is_tried(names: Callable[..., Names]) -> None:
    names((HERE, "8.8.8.8", "64:ff9b::7f00:1", "1.1.1.1"))
    network = Network(dead=1)
    Pinned((), network).connect_tcp("mixed.example", 80)
    assert network.asked == ["8.8.8.8", "1.1.1.1"]
    with pytest.raises(httpcore2.ConnectError):
        Pinned((), Network(dead=2)).connect_tcp("mixed.example", 80)


def test_a_host_that_the_operator_named_may_be_anywhere(names: Callable[..., Names]) -> None:
    names((HERE,))
    network = Network()
    Pinned(("minio.lan",), network).connect_tcp("MinIO.lan", 9000)
    assert network.asked == [HERE]
    assert code(lambda: Pinned(("minio.lan",), network).connect_tcp("x.minio.lan", 9000)) == "url_refused"


HERE_TOO = ("127.1", "0x7f.1", "2130706433", "0177.0.0.1", "localhost", "[::1]", "[::ffff:7f00:1]")


@pytest.mark.parametrize("host", HERE_TOO)
def test_other_ways_to_write_this_machine_are_known(host: str, tmp_path: Path) -> None:
    fetcher = Fetcher((), LARGE, 5.0)
    assert code(lambda: fetcher(f"http://{host}:9/", tmp_path / "a", LARGE, Halt())) == "url_refused"


def test_a_name_that_there_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unknown(*_: Any, **more: Any) -> Any:
        raise socket.gaierror

    monkeypatch.setattr(fetch_module.socket, "getaddrinfo", unknown)
    assert code(lambda: Fetcher((), LARGE, 5.0)("http://no.example/", tmp_path / "a", LARGE, Halt())) == "fetch_failed"


# -- real sockets ---------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """The path says what to answer: ``/<status>/<location>``, ``/bytes/<n>``, ``/drip``, ``/zipped``, ``/short``."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, dict[str, str]]]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.asked.append((self.path, dict(self.headers.items())))
        _, what, *rest = self.path.split("/", 2)
        with suppress(OSError):  # the client has heard enough
            self.answer(what, rest[0].partition("?")[0] if rest else "")
        self.close_connection = True

    def answer(self, what: str, rest: str) -> None:
        if what.isdigit():
            self.send_response(int(what))
            if rest:
                self.send_header("Location", rest)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        match what:
            case "bytes" | "short":
                self.send_header("Content-Length", str(int(rest) + 9 * (what == "short")))
            case "zipped":
                self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        match what:
            case "bytes" | "short":
                self.wfile.write(bytes(int(rest)))
            case "endless" | "drip":
                while not self.server.over.wait(0.05 if what == "drip" else 0):  # type: ignore[attr-defined]
                    self.wfile.write(b"x" * (1 if what == "drip" else 1 << 16))


@pytest.fixture
def site() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer((HERE, 0), Handler)
    server.over, Handler.asked = threading.Event(), []
    server.url = f"http://{HERE}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


def get(site: Any, path: str, to: Path, hosts: tuple[str, ...] = (HERE,), room: int = LARGE, **limits: Any) -> bytes:
    most, timeout_s = limits.get("most", 1 << 20), limits.get("timeout_s", 20.0)
    Fetcher(hosts, most, timeout_s)(site.url + path, to, room, limits.get("halt", Halt()))
    return to.read_bytes()


def test_what_is_there_is_written(site: Any, tmp_path: Path) -> None:
    assert get(site, "/bytes/300000?token=%2Fx#part", tmp_path / "a") == bytes(300_000)
    path, headers = Handler.asked[0]
    assert path == "/bytes/300000?token=%2Fx"
    assert headers == {
        "Host": site.url.removeprefix("http://"),
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "User-Agent": "xingji",
    }


def test_this_machine_is_not_asked_unless_it_is_named(site: Any, tmp_path: Path) -> None:
    assert code(lambda: get(site, "/bytes/3", tmp_path / "a", hosts=())) == "url_refused"
    assert Handler.asked == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_and_judged_like_the_first_address(site: Any, tmp_path: Path, status: int) -> None:
    assert get(site, f"/{status}/../bytes/3", tmp_path / "a") == bytes(3)
    elsewhere = f"http://localhost:{site.server_port}/bytes/3"
    Handler.asked.clear()
    assert code(lambda: get(site, f"/{status}/{elsewhere}", tmp_path / "a")) == "url_refused"
    assert [path.split("/")[1] for path, _ in Handler.asked] == [str(status)]


@pytest.mark.parametrize("to", ["file:///etc/passwd", "http://a:b@127.0.0.1/", "http://[::ffff:7f00:1]:9/"])
def test_redirects_to_nowhere_are_refused(site: Any, tmp_path: Path, to: str) -> None:
    assert code(lambda: get(site, f"/302/{to}", tmp_path / "a")) == "url_refused"


def test_redirects_are_few(site: Any, tmp_path: Path) -> None:
    assert code(lambda: get(site, "/302/self", tmp_path / "a")) == "fetch_failed"
    Handler.asked.clear()
    site.url += "/302"
    assert code(lambda: get(site, "/" + site.url + "/302/x", tmp_path / "a")) == "fetch_failed"
    assert len(Handler.asked) <= REDIRECTS + 1


@pytest.mark.parametrize("path", ["/404", "/500", "/204", "/206", "/302", "/zipped", "/short/5"])
def test_what_is_no_file(site: Any, tmp_path: Path, path: str) -> None:
    assert code(lambda: get(site, path, tmp_path / "a")) == "fetch_failed"


@pytest.mark.parametrize(
    ("path", "limits", "expected"),
    [
        ("/bytes/1001", {"most": 1000}, "too_large"),
        ("/endless", {"most": 1 << 20}, "too_large"),
        ("/bytes/1001", {"room": 1000}, "storage_full"),
        ("/endless", {"room": 1000}, "storage_full"),
        ("/drip", {"timeout_s": 0.3}, "fetch_failed"),
    ],
)
def test_limits(site: Any, tmp_path: Path, path: str, limits: dict[str, Any], expected: str) -> None:
    assert code(lambda: get(site, path, tmp_path / "a", **limits)) == expected


def test_it_halts(site: Any, tmp_path: Path) -> None:
    halt = Halt()
    halt.ask()
    with pytest.raises(Halted):
        get(site, "/drip", tmp_path / "a", halt=halt)


def test_a_port_where_nobody_is(tmp_path: Path) -> None:
    with socket.create_server((HERE, 0)) as free:
        port = free.getsockname()[1]
    fetcher = Fetcher((HERE,), LARGE, 5.0)
    assert code(lambda: fetcher(f"http://{HERE}:{port}/", tmp_path / "a", LARGE, Halt())) == "fetch_failed"


def test_a_folder_that_is_not_there(site: Any, tmp_path: Path) -> None:
    assert code(lambda: get(site, "/bytes/3", tmp_path / "no" / "a")) == "audio_lost"
