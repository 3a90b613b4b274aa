"""What settings accept."""

import pytest
from pydantic import ValidationError

from xingji.settings import Settings


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("sentence_silence_ms", ["200", "800", "6000"], ["199", "6001", "0.5", "", "long"]),
        ("chunk_ms", ["240", "600", "1200"], ["0", "120", "250", "601", "1320", ""]),
        ("max_sessions", ["0", "1", "10"], ["-1", "0.5", "", "many"]),
        ("connection_timeout_s", ["0.5", "300"], ["0", "-1", "", "long"]),
        ("ping_interval_s", ["1", "30"], ["0", "0.5", ""]),
        ("ping_timeout_s", ["1", "120"], ["0", "0.5", ""]),
    ],
)
def test_numbers_are_checked_at_start(
    monkeypatch: pytest.MonkeyPatch, name: str, good: list[str], bad: list[str]
) -> None:
    for value in good:
        monkeypatch.setenv(f"XINGJI_{name.upper()}", value)
        assert getattr(Settings(_env_file=None), name) == float(value)
    for value in bad:
        monkeypatch.setenv(f"XINGJI_{name.upper()}", value)
        with pytest.raises(ValidationError, match=name):
            Settings(_env_file=None)
