"""Every required package does real work here: the file that uses it imports it.

``modelscope`` is a set of tools around its client, ``modelscope_hub``, which it requires and which does all
its downloading. Downloading is all we want of it, so that part is what ``hubs.py`` imports.
"""

import ast
import importlib.metadata
import tomllib

import pytest

from tests.support import ROOT

USED_IN = {
    "flask": ("flask", "xingji/app.py"),
    "flask-socketio": ("flask_socketio", "xingji/app.py"),
    "eventlet": ("eventlet", "xingji/runtime/green.py"),
    "funasr": ("funasr", "xingji/engines/stock.py"),
    "torch": ("torch", "xingji/engines/networks.py"),
    "librosa": ("librosa", "tools/picture.py"),
    "openai": ("openai", "xingji/engines/endpoint.py"),
    "modelscope": ("modelscope_hub", "xingji/runtime/hubs.py"),
    "gunicorn": ("gunicorn", "xingji/runtime/gunicorn_worker.py"),
}


def names_used(source: str) -> tuple[set[str], set[str]]:
    """Top-level modules that are imported, at any depth, and those of them whose names are read somewhere."""
    tree, bound = ast.parse(source), dict[str, str]()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                bound |= {(name.asname or name.name.split(".")[0]): name.name.split(".")[0] for name in names}
            case ast.ImportFrom(module=str(module), names=names, level=0):
                bound |= {(name.asname or name.name): module.split(".")[0] for name in names}
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return set(bound.values()), {module for name, module in bound.items() if name in read}


@pytest.mark.parametrize("package", USED_IN)
def test_a_required_package_is_imported_and_used_where_we_say(package: str) -> None:
    module, file = USED_IN[package]
    imported, used = names_used((ROOT / file).read_text("utf-8"))
    assert module in imported, f"{file} does not import {module}"
    assert module in used, f"{file} imports {module} and does nothing with it"


@pytest.mark.parametrize("package", USED_IN)
def test_a_required_package_is_pinned(package: str) -> None:
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    assert [pin for pin in pins if pin.startswith(f"{package}==")]


def test_modelscope_stands_on_the_client_we_use() -> None:
    needs = [need for need in importlib.metadata.requires("modelscope") or () if "extra ==" not in need]
    assert any(need.startswith("modelscope-hub") for need in needs)


@pytest.mark.parametrize(
    "source, imported, used",
    [
        ("import a.b\na.b.c()", {"a"}, {"a"}),
        ("def f():\n    from a.b import c as d\n    return d", {"a"}, {"a"}),
        ("import a", {"a"}, set()),
        ("from a import b\nb = 1", {"a"}, set()),
        ("from . import a\na()", set(), set()),
        ("'import a'", set(), set()),
    ],
)
def test_what_counts_as_use(source: str, imported: set[str], used: set[str]) -> None:
    assert names_used(source) == (imported, used)
