"""What deploys the server says what is so: paths, ports, limits and time-outs agree with the server's own."""

import configparser
import json
import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import ROOT
from tools.env_example import variable
from xingji.app import FORM_OVERHEAD
from xingji.backends import llm_model
from xingji.runtime.registry import read
from xingji.settings import Settings

VARIABLES = {variable(name, field) for name, field in Settings.model_fields.items()}
CONF = runpy.run_path(str(ROOT / "gunicorn.conf.py"))

# What the Compose specification calls the keys that are used here, and what they hold.
SERVICE = {
    "image": str,
    "build": dict,
    "extends": str,
    "profiles": list,
    "ports": list,
    "env_file": list,
    "environment": dict,
    "volumes": list,
    "depends_on": dict,
    "networks": dict,
    "entrypoint": list,
    "command": list,
    "restart": str,
    "init": bool,
    "shm_size": str,
    "stop_grace_period": str,
    "healthcheck": dict,
    "deploy": dict,
}
HEALTHCHECK = {"test", "interval", "timeout", "retries", "start_period"}


def official_llm() -> str:
    return llm_model(Settings(_env_file=None, llm_model=""), read())


def compose(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def dockerfile(name: str = "Dockerfile") -> list[tuple[str, str]]:
    """(instruction, rest) of each line, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", (ROOT / name).read_text("utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def image_environment() -> dict[str, str]:
    return dict(item.split("=", 1) for word, rest in dockerfile() if word == "ENV" for item in shlex.split(rest))


def test_the_image_starts_what_is_documented_as_a_user_without_rights() -> None:
    words = [word for word, _ in dockerfile()]
    assert words.index("USER") < words.index("CMD") and dict(dockerfile())["USER"] != "root"
    assert json.loads(dict(dockerfile())["CMD"]) == ["gunicorn", "asr_api_server:app"]
    health = json.loads(dict(dockerfile())["HEALTHCHECK"].partition("CMD")[2])
    compile(health[2], "HEALTHCHECK", "exec")
    assert "/api/health" in health[2]


def test_the_image_sets_settings_that_exist() -> None:
    environment = image_environment()
    ours = {name: value for name, value in environment.items() if name.startswith("XINGJI_")}
    assert set(ours) <= VARIABLES
    assert ours["XINGJI_HOST"] == "0.0.0.0" and ours["XINGJI_MODELS"] == "official"
    assert ours["XINGJI_MAX_SESSIONS"] == "10"
    assert dict(dockerfile())["EXPOSE"] == ours["XINGJI_PORT"] == str(Settings.model_fields["port"].default)
    volumes = json.loads(dict(dockerfile())["VOLUME"])
    assert {"HF_HOME", "MODELSCOPE_CACHE"} <= VARIABLES
    for path in (environment["HF_HOME"], environment["MODELSCOPE_CACHE"], ours["XINGJI_LOG_DIR"]):
        assert path in volumes
    assert str(Path(ours["XINGJI_HOTWORDS"]).parent) in volumes


@pytest.mark.parametrize("name", ["docker-compose.yml", "docker-compose.gpu.yml"])
def test_compose_uses_keys_that_exist(name: str) -> None:
    content = compose(name)
    assert all(key == "services" or key.startswith("x-") for key in content)
    for id, service in content["services"].items():
        for key, value in service.items():
            assert isinstance(value, SERVICE[key]), key
        assert all(isinstance(value, str) for value in service.get("environment", {}).values())
        assert set(service.get("healthcheck", {})) <= HEALTHCHECK
        build = service["build"]
        assert set(build) <= {"context", "args"}
        file = "deploy/vllm/Dockerfile" if build.get("context") == "deploy/vllm" else "Dockerfile"
        assert set(build["args"]) <= {rest.partition("=")[0] for word, rest in dockerfile(file) if word == "ARG"}
        if file == "Dockerfile":
            assert set(service["environment"]) <= VARIABLES, id
        for device in service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", ()):
            assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
            assert set(device) - {"driver", "capabilities"} in ({"count"}, {"device_ids"})


VLLM = {  # service → model, GPU memory share, context, host that reaches it
    "llm": ("Qwen/Qwen3-8B", "0.85", "4096", "llm"),
    "qwen3-asr-1.7b": ("Qwen/Qwen3-ASR-1.7B", "0.8", "32768", "qwen3-asr-1.7b"),
    "qwen3-asr-1.7b-tp2": ("Qwen/Qwen3-ASR-1.7B", "0.9", "32768", "qwen3-asr-1.7b"),
    "qwen3-asr-0.6b": ("Qwen/Qwen3-ASR-0.6B", "0.6", "32768", "qwen3-asr-0.6b"),
    "qwen3-asr-serve": ("Qwen/Qwen3-ASR-1.7B", "0.8", "32768", "qwen3-asr-1.7b"),
    "qwen2-audio": ("Qwen/Qwen2-Audio-7B-Instruct", "0.7", "4096", "qwen2-audio"),
}


def given(text: str) -> str:
    """What compose puts in where nothing is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def test_each_profile_starts_one_service_beside_the_default() -> None:
    services = compose("docker-compose.yml")["services"]
    assert set(services) == {"asr", "asr-gpu", *VLLM}
    assert "profiles" not in services["asr"] and services["asr-gpu"]["profiles"] == ["gpu"]
    assert services["asr-gpu"]["extends"] == "asr"
    assert all(services[name]["profiles"] == [name] for name in VLLM)
    waits = services["asr"]["depends_on"]
    assert set(waits) == set(VLLM)
    assert all(how == {"condition": "service_healthy", "required": False} for how in waits.values())


@pytest.mark.parametrize("name", VLLM)
def test_what_vllm_serves_is_what_the_registry_asks_for(name: str) -> None:
    service, (model, share, context, host) = compose("docker-compose.yml")["services"][name], VLLM[name]
    arguments = [given(argument) for argument in service["command"]]
    assert model in {entry.models.offline for entry in read().entries.values()}
    assert f"--served-model-name={model}" in arguments and any(a.removeprefix("--model=") == model for a in arguments)
    assert f"--gpu-memory-utilization={share}" in arguments and f"--max-model-len={context}" in arguments
    (devices,) = service["deploy"]["resources"]["reservations"]["devices"]
    cards = [given(id) for id in devices["device_ids"]]
    parallel = "--tensor-parallel-size=2" in arguments
    assert len(set(cards)) == (2 if parallel else 1) and parallel == name.endswith("tp2")
    assert host in {name, *service.get("networks", {}).get("default", {}).get("aliases", ())}
    assert re.fullmatch(r"127\.0\.0\.1:800[1-4]:8000", given(service["ports"][0])), (
        "a debug port for this machine alone"
    )
    assert {volume.split(":")[0] for volume in service["volumes"]} == {"./models_cache", "./hf_cache"}
    for at in (service["environment"]["MODELSCOPE_CACHE"], service["environment"]["HF_HOME"]):
        assert any(volume.endswith(f":{at}") for volume in service["volumes"])
    check = service["healthcheck"]["test"]
    compile(check[-1], "healthcheck", "exec")
    assert check[0] == "CMD" and "127.0.0.1:8000/health" in check[-1]


def test_what_is_fetched_is_pinned() -> None:
    services = compose("docker-compose.yml")["services"]
    for name in VLLM:
        build = services[name]["build"]
        assert re.fullmatch(r"v\d+\.\d+\.\d+", build["args"]["VLLM_VERSION"])
        assert re.fullmatch(r"[\w-]+:v?[\d.]+", services[name]["image"])
        assert all("==" in package for package in build["args"].get("PACKAGES", "x==1").split())
    words = dockerfile("deploy/vllm/Dockerfile")
    version, packages = (rest for word, rest in words if word == "ARG" and "=" in rest)
    assert version == f"VLLM_VERSION={services['llm']['build']['args']['VLLM_VERSION']}"
    assert all("==" in package for package in packages.partition("=")[2].strip('"').split())


def test_every_variable_of_compose_is_described() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    described = "".join((ROOT / "docs" / name).read_text("utf-8") for name in ("backends.md", "deployment.md"))
    for name in set(re.findall(r"\$\{(\w+)", text)):
        assert name in VARIABLES or name in described, name


def test_compose_keeps_models_logs_and_hotwords_outside_the_container() -> None:
    service = compose("docker-compose.yml")["services"]["asr"]
    mounts = dict(volume.split(":") for volume in service["volumes"])
    assert set(mounts.values()) == set(json.loads(dict(dockerfile())["VOLUME"]))
    assert set(mounts) == {"./models_cache", "./hf_cache", "./logs", "./config", "./jobs"}
    assert service["restart"] == "unless-stopped"
    assert service["ports"][0].endswith(":" + service["environment"]["XINGJI_PORT"])
    inside = {name: value for name, value in image_environment().items() if name in VARIABLES}
    for name in ("XINGJI_MODELS", "XINGJI_MAX_SESSIONS"):  # .env may say otherwise
        assert service["environment"][name] == f"${{{name}:-{inside.pop(name)}}}"
    assert inside.items() <= service["environment"].items(), ".env must not move them"
    assert "/api/health" in service["healthcheck"]["test"][-1]
    compile(service["healthcheck"]["test"][-1], "healthcheck", "exec")


def test_the_llm_that_is_served_is_the_one_that_is_asked() -> None:
    command = compose("docker-compose.yml")["services"]["llm"]["command"]
    assert f"--served-model-name={official_llm()}" in command


def test_whoever_stops_the_server_waits_for_its_recordings() -> None:
    systemd = configparser.ConfigParser(strict=False, interpolation=None)
    systemd.optionxform = str  # type: ignore[assignment,method-assign]
    systemd.read(ROOT / "deploy" / "systemd" / "xingji.service", "utf-8")
    supervisor = configparser.ConfigParser(interpolation=None, comment_prefixes=(";",))
    supervisor.read(ROOT / "deploy" / "supervisor" / "xingji.conf", "utf-8")
    patience = [
        int(systemd["Service"]["TimeoutStopSec"]),
        int(supervisor["program:xingji"]["stopwaitsecs"]),
        int(compose("docker-compose.yml")["services"]["asr"]["stop_grace_period"].removesuffix("s")),
    ]
    assert min(patience) > CONF["graceful_timeout"]
    # A signal to the whole group would end the inference workers before the recordings are finished.
    assert systemd["Service"]["KillMode"] == "mixed" and systemd["Service"]["Restart"] == "always"
    assert supervisor["program:xingji"]["stopasgroup"] == "false"
    for command in (systemd["Service"]["ExecStart"], supervisor["program:xingji"]["command"]):
        assert command == "/opt/xingji/.venv/bin/gunicorn asr_api_server:app"


def test_gunicorn_listens_where_the_settings_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def bind() -> str:
        return str(runpy.run_path(str(ROOT / "gunicorn.conf.py"))["bind"])

    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert bind() == f"{Settings().host}:{Settings().port}"
    (tmp_path / ".env").write_text("XINGJI_HOST=0.0.0.0\nXINGJI_PORT=8000\n", "utf-8")
    assert bind() == f"{Settings().host}:{Settings().port}" == "0.0.0.0:8000"
    monkeypatch.setenv("XINGJI_HOST", "::")
    assert bind() == "[::]:8000"


def nginx(text: str) -> list[Any]:
    """[words, block or None] of each directive; raises where braces or semicolons do not fit."""
    tokens = re.findall(r"\"[^\"]*\"|'[^']*'|[{};]|[^\s{};]+", re.sub(r"^\s*#.*$", "", text, flags=re.M))
    stack: list[list[Any]] = [[]]
    words: list[str] = []
    for token in tokens:
        if token == ";":
            assert words, "a semicolon after nothing"
            stack[-1].append([words, None])
            words = []
        elif token == "{":
            block: list[Any] = []
            stack[-1].append([words, block])
            stack.append(block)
            words = []
        elif token == "}":
            assert not words, f"no semicolon after {words}"
            stack.pop()
        else:
            words.append(token)
    assert len(stack) == 1 and not words
    return stack[0]


def test_nginx_lets_websockets_long_recordings_and_large_uploads_through() -> None:
    tree = nginx((ROOT / "deploy" / "nginx" / "xingji.conf").read_text("utf-8"))
    server = next(block for words, block in tree if words == ["server"])
    places = {words[1]: {w[0]: w[1:] for w, _ in block} for words, block in server if words[0] == "location"}
    live = places["/socket.io/"]
    assert live["proxy_read_timeout"] == [f"{Settings.model_fields['max_recording_s'].default / 3600:.0f}h"]
    assert live["proxy_http_version"] == ["1.1"] and live["proxy_buffering"] == ["off"]
    for location in (block for words, block in server if words[0] == "location"):  # raw WebSockets come by / as well
        names = {words[1] for words, _ in location if words[0] == "proxy_set_header"}
        assert {"Upgrade", "Connection", "Host"} <= names
    size = next(words[1] for words, _ in server if words[0] == "client_max_body_size")
    assert int(size.removesuffix("m")) << 20 > Settings.model_fields["max_upload_bytes"].default + FORM_OVERHEAD
    assert places["/"]["proxy_request_buffering"] == ["off"]
    upstream = next(block for words, block in tree if words == ["upstream", "xingji"])
    assert upstream[0][0] == ["server", f"127.0.0.1:{Settings.model_fields['port'].default}"]


def test_traefik_lets_long_uploads_through_and_closes_idle_connections_first() -> None:
    static = yaml.safe_load((ROOT / "deploy" / "traefik" / "traefik.yml").read_text("utf-8"))
    dynamic = yaml.safe_load((ROOT / "deploy" / "traefik" / "xingji.yml").read_text("utf-8"))["http"]
    assert static["entryPoints"]["websecure"]["transport"]["respondingTimeouts"]["readTimeout"] == "0s"
    router = dynamic["routers"]["xingji"]
    assert set(router["entryPoints"]) <= set(static["entryPoints"])
    assert router["tls"]["certResolver"] in static["certificatesResolvers"]
    balancer = dynamic["services"][router["service"]]["loadBalancer"]
    assert balancer["servers"] == [{"url": f"http://127.0.0.1:{Settings.model_fields['port'].default}"}]
    timeouts = dynamic["serversTransports"][balancer["serversTransport"]]["forwardingTimeouts"]
    assert int(timeouts["idleConnTimeout"].removesuffix("s")) < CONF["keepalive"]
    assert timeouts["responseHeaderTimeout"] == "0s"


def test_the_windows_start_uses_plain_threads() -> None:
    data = (ROOT / "start.bat").read_bytes()
    assert data.count(b"\r\n") == data.count(b"\n") and data.isascii()
    assert b"XINGJI_ASYNC_MODE=threading" in data
    for name in re.findall(rb"[\w-]+\.(?:txt|py|md)\b", data):
        assert (ROOT / name.decode()).is_file()
    labels = {line[1:] for line in data.split() if line.startswith(b":")}
    assert set(re.findall(rb"goto (\w+)", data)) <= labels
