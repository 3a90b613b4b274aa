"""Which sources made what: a digest over a module of the recipe and all of the recipe that it imports.

A stage's result may be kept as long as the digest of its modules is the same: what it leaves is a function of
these sources, of the packages' versions and of the machine, and of nothing else.
"""

from __future__ import annotations

import ast
import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).parent
_PACKAGE = "training.minipack"


def digest(modules: Sequence[str]) -> str:
    """SHA-256 over the names and contents of ``modules`` (``vad``, …) and of what they import from the recipe."""
    found = hashlib.sha256()
    for name in sorted(closure(modules)):
        found.update(name.encode() + b"\0" + (SOURCES / f"{name}.py").read_bytes() + b"\0")
    return found.hexdigest()


def closure(modules: Sequence[str]) -> set[str]:
    """The modules themselves and, again and again, what they import from the recipe."""
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += _imports((SOURCES / f"{name}.py").read_text("utf-8"))
    return seen


def commit() -> str | None:
    """The commit whose sources these are; None outside a repository or with uncommitted changes to them."""
    changes = _git("status", "--porcelain", "--", str(SOURCES))
    return _git("rev-parse", "HEAD") if changes == "" else None


def _imports(source: str) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom(module=str(module), names=items) if module == _PACKAGE:
                names += [item.name for item in items]
            case ast.ImportFrom(module=str(module)) if module.startswith(f"{_PACKAGE}."):
                names.append(module.removeprefix(f"{_PACKAGE}."))
            case _:
                pass
    return names


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=SOURCES, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
