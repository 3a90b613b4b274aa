"""Fixtures for every test, and ``XINGJI_NO_SKIPS=1``: a run in which a skipped test is a failure.

But for tests of programs that whoever runs them has to bring along: a variable names those, and so does the reason.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import Server, model_directory


@pytest.fixture(scope="session")
def models() -> Path:
    found = model_directory()
    if found is None:
        pytest.skip("no model pack: xingji/minipack is not there and XINGJI_MODELS names no directory")
    return found


@pytest.fixture(scope="session")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One eventlet server for all tests that leave it as they found it."""
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    brought = ("XINGJI_FUNASR_CLIENTS", "XINGJI_NLS_SDK")
    skipped = [report for report in reports if not any(name in str(report.longrepr) for name in brought)]
    if os.environ.get("XINGJI_NO_SKIPS") and skipped and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line(f"{len(skipped)} skipped, and XINGJI_NO_SKIPS is set: this counts as a failure", red=True)
