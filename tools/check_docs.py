"""Do the documents still say what is so? Prints each complaint; exit status 1 if there is one.

Run ``python -m tools.check_docs``: both READMEs have the same headings, anchors and code; links lead to
files that exist; JSON examples parse; ``.env.example`` is what the settings give; the README's
table of settings names real ones.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tools import env_example
from xingji.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def documents() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def code_blocks(path: Path) -> list[tuple[str, str]]:
    """(language, text) of each fenced block."""
    return FENCE.findall(path.read_text("utf-8"))


def complaints() -> Iterator[str]:
    chinese, english = ROOT / "README.md", ROOT / "README.en.md"
    if shape(chinese) != shape(english):
        yield "README.md and README.en.md differ in headings or anchors"
    if bare_code(chinese) != bare_code(english):
        yield "README.md and README.en.md differ in their code"
    for path in documents():
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
            if not (path.parent / target).exists():
                yield f"{path.name} links to {target}, which does not exist"
        for language, text in code_blocks(path):
            if language == "json":
                try:
                    json.loads(text)
                except ValueError as error:
                    yield f"{path.name}: a JSON example does not parse: {error}"
    if (ROOT / ".env.example").read_text("utf-8") != env_example.text():
        yield ".env.example is not what the settings give; run make env"
    known = {env_example.variable(name, field) for name, field in Settings.model_fields.items()}
    for path in documents():
        for name in re.findall(r"`((?:XINGJI|LLM)_[A-Z_]+)", path.read_text("utf-8")):
            if name not in known | {
                "XINGJI_NO_SKIPS",
                "XINGJI_FUNASR_CLIENTS",
                "XINGJI_DASHSCOPE_PYTHONS",
                "XINGJI_OPENAI_PYTHONS",
            }:
                yield f"{path.name} names the setting {name}, which does not exist"


def shape(path: Path) -> list[tuple[str, str]]:
    """Anchors and heading levels, in order."""
    text = FENCE.sub("", path.read_text("utf-8"))
    return [(a, b) for a, b in re.findall(r'^<a id="(\w+)"></a>$|^(#+) ', text, re.M)]


def bare_code(path: Path) -> list[str]:
    return [re.sub(r"\s*#.*", "", text) for _, text in code_blocks(path)]


def main() -> int:
    found = list(complaints())
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
