"""Client secrets: for a minute, for what they were made for, and not too many."""

import pytest

from xingji.core.errors import XingjiError
from xingji.runtime import secrets
from xingji.runtime.secrets import MOST, VALID_S, Secrets


class Clock:
    now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(secrets, "time", clock)
    return clock


def test_a_secret_is_valid_for_a_minute_however_often_it_is_shown(clock: Clock) -> None:
    kept = Secrets()
    secret = kept.make("session")
    assert secret.expires_at == clock.now + VALID_S and secret.value not in repr(secret)
    for _ in range(2):
        assert kept.find(("wrong", secret.value)) is secret
    assert kept.find(("wrong",)) is None and kept.find(()) is None
    clock.now += VALID_S
    assert kept.find((secret.value,)) is None


def test_there_is_room_again_once_some_are_over(clock: Clock) -> None:
    kept = Secrets()
    values = {kept.make(n).value for n in range(MOST)}
    assert len(values) == MOST
    with pytest.raises(XingjiError) as refused:
        kept.make("one more")
    assert refused.value.code == "busy"
    clock.now += VALID_S
    assert kept.make("one more").session == "one more"
