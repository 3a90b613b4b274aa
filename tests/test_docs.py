"""The documents are checked, and the README's examples are run against a real server."""

import json
import re
import shlex
import subprocess
import sys

import pytest

from tests.support import ROOT, Server, utterance
from tools import check_docs


def test_documents_say_what_is_so() -> None:
    assert list(check_docs.complaints()) == []


@pytest.mark.parametrize("name", ["README.md", "README.en.md"])
def test_the_examples_of_the_readme_run(server: Server, name: str) -> None:
    said = utterance("two_sentences")
    blocks = check_docs.code_blocks(ROOT / name)
    commands = [text for language, text in blocks if language == "bash" and text.startswith("curl")]
    scripts = [text for language, text in blocks if language == "python"]
    assert (len(commands), len(scripts)) == (2, 1)
    for command in (shlex.split(commands[0]), [sys.executable, "-c", scripts[0]]):
        here = [part.replace(":5006", f":{server.port}") for part in command]
        done = subprocess.run(here, cwd=ROOT, capture_output=True, timeout=120, check=True)
        printed = done.stdout.decode()
        for sentence in said.sentences if said.exact else ():
            assert sentence["written"] in printed or sentence["written"] in printed.encode().decode("unicode_escape")
        assert "。" in printed or "\\u3002" in printed
    client = next(text for language, text in blocks if language == "bash" and "-m xingji.client" in text)
    command = [sys.executable, *shlex.split(client)[1:], "--url", server.url]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=True).stdout.decode()
    assert shown.startswith("1\n00:00:0") and all(sentence["written"] in shown for sentence in said.sentences)
    trial = [part.replace(":5006", f":{server.port}") for part in shlex.split(commands[1])]
    told = json.loads(subprocess.run(trial, cwd=ROOT, capture_output=True, timeout=120, check=True).stdout)["data"]
    assert told["acted"] == ["林滔"] and told["false_alarms"] == [] and told["cer"]["with"] < told["cer"]["without"]


@pytest.mark.parametrize("name", ["README.md", "README.en.md"])
def test_the_job_of_the_readme_is_done(server: Server, name: str) -> None:
    (text,) = (text for _, text in check_docs.code_blocks(ROOT / name) if text.startswith("id="))
    add, state, result, delete = text.replace(":5006", f":{server.port}").splitlines()
    until_done = f"until {state.partition('#')[0]} | grep -q '\"done\"'; do sleep 0.2; done"
    script = "\n".join((add, state, until_done, result, delete, state))
    done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, timeout=120, check=True)
    first, *middle, deleted, gone = [line for line in done.stdout.splitlines() if line]
    assert json.loads(first)["data"]["id"] == json.loads(deleted)["data"]["id"]
    assert json.loads(gone)["code"] == "not_found"
    said = utterance("two_sentences")
    assert middle[0] == "1" and (not said.exact or said.sentences[0]["written"] in "".join(middle))


def test_settings_example_names_every_setting() -> None:
    from xingji.settings import Settings

    example = (ROOT / ".env.example").read_text("utf-8")
    assert len(re.findall(r"^# [A-Z0-9_]+=", example, re.M)) == len(Settings.model_fields)
