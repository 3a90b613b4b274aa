"""Write requirements.txt and requirements-dev.txt: what ``pyproject.toml`` asks for, all of it pinned.

Run ``python -m tools.lock``. pip resolves, in dry run; local version labels (``+cpu``) are cut off, so
that each machine takes the build of torch that its package index offers.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEAD = "# 由 make lock 从 pyproject.toml 生成。 Generated from pyproject.toml by make lock.\n"


def resolve(requirements: list[str]) -> list[str]:
    """Every package that ``requirements`` come down to, as ``name==version``, sorted."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    report = json.loads(subprocess.run([*command, *requirements], check=True, capture_output=True).stdout)
    found = {item["metadata"]["name"].lower(): item["metadata"]["version"] for item in report["install"]}
    return [f"{name}=={version.partition('+')[0]}" for name, version in sorted(found.items())]


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    run = resolve(project["dependencies"])
    everything = resolve([*project["dependencies"], *project["optional-dependencies"]["dev"]])
    (ROOT / "requirements.txt").write_text(HEAD + "\n".join(run) + "\n", "utf-8")
    extra = [line for line in everything if line not in run]
    (ROOT / "requirements-dev.txt").write_text(HEAD + "-r requirements.txt\n" + "\n".join(extra) + "\n", "utf-8")


if __name__ == "__main__":
    main()
