"""Pure: bytes that come piece by piece → the JPEG pictures in them, found by JPEG's own markers (ITU-T T.81)."""

import re
from collections.abc import Iterator

MAX_BYTES = 32 << 20
"""How many bytes a picture may have; what is longer is not a picture."""

BEGIN = b"\xff\xd8\xff"
"""A start of image (SOI), and the first byte of the marker that follows."""

# In a scan, 0xFF 0x00 stands for the byte 0xFF, and restart markers (0xD0 to 0xD7) may follow.
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_SOI, _EOI, _SOS, _FILL = 0xD8, 0xD9, 0xDA, 0xFF
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xDA), _FILL})
"""The markers without a segment after them (ITU-T T.81, table B.1)."""


class Splitter:
    """Finds JPEG pictures in bytes that come piece by piece, whatever stands between the pictures."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        """Bytes that are not done with. Inside a picture, it begins with that picture."""
        self._position = 0
        """Where to go on in the buffer: at a marker, inside a scan, or where the next picture is looked for."""
        self._inside = self._in_scan = False
        """Whether the position is inside a picture, and inside the coded data of a scan."""

    def push(self, data: bytes) -> Iterator[bytes]:
        """Take more bytes, and yield the pictures that are complete now.

        Of a broken picture, its first two bytes are yielded: a decoder refuses them, and so it is counted.
        """
        self._buffer += data
        while self._inside or self._find_begin():
            size = self._step()
            if size is None:
                if len(self._buffer) > MAX_BYTES:
                    yield self._take(2)
                return
            if size:
                yield self._take(size)

    def _find_begin(self) -> bool:
        """Drop the bytes before the next picture; return whether there is one."""
        begin = self._buffer.find(BEGIN, self._position)
        # Keep the last two bytes: the first two of a picture's beginning may be among them.
        del self._buffer[: begin if begin >= 0 else max(0, len(self._buffer) - len(BEGIN) + 1)]
        self._inside, self._in_scan = begin >= 0, False
        self._position = 2 if self._inside else 0
        return self._inside

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[: max(size, self._position)]
        self._position, self._inside = 0, False
        return taken

    def _step(self) -> int | None:
        """Pass over one segment.

        Returns:
            The picture's size where it ends there; 2 where it is broken; 0 where it goes on; None where more bytes are
            needed.
        """
        if self._in_scan:
            found = _END_OF_SCAN.search(self._buffer, self._position)
            self._position = found.start() if found else max(self._position, len(self._buffer) - 1)
            self._in_scan = found is None
        marker = self._buffer[self._position : self._position + 4]
        if self._in_scan or len(marker) < 2 or (len(marker) < 4 and marker[1] not in _WITHOUT_LENGTH):
            return None
        return self._pass_marker(marker)

    def _pass_marker(self, marker: bytearray) -> int:
        """Go behind a marker and its segment; return what `_step` returns."""
        first, kind = marker[:2]
        if first != _FILL or kind == _SOI:  # not a marker, or another picture begins before this one ends
            return 2
        if kind in _WITHOUT_LENGTH:
            self._position += 1 if kind == _FILL else 2  # any number of fill bytes 0xFF may stand before a marker
            return self._position if kind == _EOI else 0
        self._position += 2 + int.from_bytes(marker[2:], "big")
        self._in_scan = kind == _SOS
        return 0
