"""A socket that is read ahead gives the same bytes in the same order."""

import socket
import threading

from hypothesis import given
from hypothesis import strategies as st

from xingji.runtime.read_ahead import AHEAD, ReadAhead


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.lists(st.integers(1, 400), min_size=1))
def test_what_is_read_ahead_comes_in_order_and_nothing_is_lost(parts: list[bytes], sizes: list[int]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ahead, asked = ReadAhead(ours), len(sizes)
        for part in parts:
            theirs.sendall(part)
        theirs.shutdown(socket.SHUT_WR)
        taken = []
        while part := ahead.recv(sizes[len(taken) % asked]):
            assert len(part) <= sizes[len(taken) % asked]
            taken.append(part)
        assert b"".join(taken) == b"".join(parts)
        assert ahead.fileno() == ours.fileno()


def test_a_message_larger_than_what_is_read_ahead_is_taken_as_it_comes() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        threading.Thread(target=theirs.sendall, args=(bytes(5 * AHEAD),), daemon=True).start()
        ahead, left = ReadAhead(ours), 5 * AHEAD
        while left:
            left -= len(ahead.recv(left))
