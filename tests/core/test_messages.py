"""What a message says of itself."""

import pytest

from xingji.core.messages import Completed, SentenceReadings
from xingji.core.types import Sentence, Stage


@pytest.mark.parametrize(
    ("texts", "reasons", "unread"),
    [
        ((), (), False),
        (("",), ("empty",), False),
        (("",), ("empty", "crashed"), True),
        (("", "好。"), ("crashed",), False),
    ],
)
def test_a_recording_is_unread_where_nobody_could_read_anything(
    texts: tuple[str, ...], reasons: tuple[str, ...], unread: bool
) -> None:
    sentences = tuple(Sentence(id, 0, 1, Stage.SECOND_PASS, 1, text) for id, text in enumerate(texts))
    lost = tuple((Stage.SECOND_PASS, reason) for reason in reasons)
    assert Completed(sentences, tuple(SentenceReadings({}, lost=lost) for _ in sentences), (), 1).unread is unread
