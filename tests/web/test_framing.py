import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcam.web.framing import ALIGNMENT, frame, unframe

PARTS = st.lists(st.binary(max_size=40), max_size=18)


@given(PARTS)
def test_parts_come_back_as_they_were(parts: list[bytes]) -> None:
    assert unframe(frame(parts)) == parts


@given(PARTS)
def test_each_part_lies_where_tensors_can_be_read_in_place(parts: list[bytes]) -> None:
    message = frame(parts)
    count, *lengths = struct.unpack_from(f"<{len(parts) + 1}I", message)
    assert (count, lengths) == (len(parts), [len(part) for part in parts])
    at = -(-(4 + 4 * count) // ALIGNMENT) * ALIGNMENT
    for part in parts:
        assert message[at : at + len(part)] == part
        at += -(-len(part) // ALIGNMENT) * ALIGNMENT
    assert at == len(message)


@given(st.binary(max_size=200))
def test_anything_else_is_refused_by_a_value_error(message: bytes) -> None:
    try:
        parts = unframe(message)
    except ValueError:
        return
    assert len(frame(parts)) == len(message)


@pytest.mark.parametrize("message", [b"", b"\1\0\0", b"\xff\xff\xff\xff", b"\1\0\0\0\xff\xff\xff\xff" + bytes(16)])
def test_lengths_beyond_the_message_are_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"expected|require"):
        unframe(message)


@given(PARTS.filter(any), st.integers(1, 8))
def test_a_message_that_was_cut_is_refused(parts: list[bytes], cut: int) -> None:
    with pytest.raises(ValueError, match=r"expected|require"):
        unframe(frame(parts)[:-cut])
