"""A wire message as one binary WebSocket message. Specified in docs/reference/browser-protocol.md.

    0        uint32, little-endian: n, the number of parts
    4        n × uint32: the length of each part in bytes
    …        the parts, each at a multiple of 8: camera, topic, header, payloads…

The padding lets a browser read tensors in place.
"""

import struct
from collections.abc import Sequence

ALIGNMENT = 8


def frame(parts: Sequence[bytes]) -> bytes:
    """Join parts to one message."""
    pieces = [struct.pack(f"<I{len(parts)}I", len(parts), *map(len, parts))]
    pieces.append(_padding(len(pieces[0])))
    for part in parts:
        pieces += (part, _padding(len(part)))
    return b"".join(pieces)


def unframe(message: bytes) -> list[bytes]:
    """Split a message into its parts.

    Raises:
        ValueError: it is not made by `frame`.
    """
    try:
        (count,) = struct.unpack_from("<I", message)
        lengths = struct.unpack_from(f"<{count}I", message, 4)
    except struct.error as e:
        raise ValueError(str(e)) from e
    at, parts = _aligned(4 + 4 * count), []
    for length in lengths:
        parts.append(message[at : at + length])
        at = _aligned(at + length)
    if at != len(message):
        raise ValueError(f"expected {at} bytes, got {len(message)}")
    return parts


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


def _padding(length: int) -> bytes:
    return bytes(-length % ALIGNMENT)
