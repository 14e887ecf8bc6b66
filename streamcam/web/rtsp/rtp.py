"""H.264 → RTP packets (RFC 3550, RFC 6184), and the sender's reports about their clock. No sockets."""

import struct
from collections.abc import Sequence
from random import Random

TICKS = 90_000
"""Ticks a second of the timestamps."""
PAYLOAD_TYPE = 96
MAX_PAYLOAD_BYTES = 1400
"""Servers pass packets on over UDP: with all headers, one has to fit into 1500 bytes."""
NTP_EPOCH_S = 2_208_988_800
"""1970 in the seconds of NTP, which counts from 1900."""

_FU_A, _START, _END = 28, 0x80, 0x40
_SENDER_REPORT, _DESCRIPTION, _CNAME = 200, 202, 1


def split_nals(annex_b: bytes) -> list[bytes]:
    r"""Split a byte stream (ITU-T H.264, annex B) into its NAL units.

    >>> split_nals(bytes.fromhex("00000001 6742 000001 68ce"))
    [b'gB', b'h\xce']
    """
    pieces = annex_b.split(b"\x00\x00\x01")[1:]
    # A fourth zero belongs to the next start code: a NAL unit never ends in zero.
    return [nal for piece in pieces if (nal := piece.rstrip(b"\x00"))]


class Packetiser:
    """Makes the packets of one stream, of which the server may lose none: they travel over TCP."""

    def __init__(self, *, randomness: Random | None = None) -> None:
        """Begin a stream; its source, first number and first timestamp are random (RFC 3550, section 5.1)."""
        random = randomness or Random()
        self._ssrc, self._offset = random.getrandbits(32), random.getrandbits(32)
        self._sequence = random.getrandbits(16)
        self._packets = self._bytes = 0

    def packets(self, nals: Sequence[bytes], ticks: int) -> list[bytes]:
        """Make the packets of one picture.

        Args:
            nals: its NAL units.
            ticks: its time.
        """
        payloads = [payload for nal in nals for payload in _payloads(nal)]
        last = len(payloads) - 1
        return [self._packet(payload, ticks, marker=i == last) for i, payload in enumerate(payloads)]

    def report(self, unix_ns: int, ticks: int) -> bytes:
        """Make a sender's report: which moment a timestamp speaks of (RFC 3550, section 6.4.1).

        Args:
            unix_ns: when the picture was captured.
            ticks: its time.
        """
        seconds, fraction = divmod(max(0, unix_ns), 1_000_000_000)
        report = struct.pack(
            ">BBHIIIIII",
            *(0x80, _SENDER_REPORT, 6, self._ssrc),
            *(seconds + NTP_EPOCH_S & 0xFFFFFFFF, (fraction << 32) // 1_000_000_000),
            *(self._timestamp(ticks), self._packets & 0xFFFFFFFF, self._bytes & 0xFFFFFFFF),
        )
        item = bytes((_CNAME, 9)) + b"streamcam"
        item += bytes(4 - len(item) % 4)  # at least one zero ends the list
        return report + struct.pack(">BBHI", 0x81, _DESCRIPTION, 1 + len(item) // 4, self._ssrc) + item

    def _packet(self, payload: bytes, ticks: int, *, marker: bool) -> bytes:
        kind = PAYLOAD_TYPE | (0x80 if marker else 0)
        header = struct.pack(">BBHII", 0x80, kind, self._sequence, self._timestamp(ticks), self._ssrc)
        self._sequence = self._sequence + 1 & 0xFFFF
        self._packets, self._bytes = self._packets + 1, self._bytes + len(payload)
        return header + payload

    def _timestamp(self, ticks: int) -> int:
        return self._offset + ticks & 0xFFFFFFFF


def _payloads(nal: bytes) -> list[bytes]:
    """Return a NAL unit as one payload, or in pieces of type FU-A where it is too large (RFC 6184, section 5.8)."""
    if len(nal) <= MAX_PAYLOAD_BYTES:
        return [nal]
    indicator, kind, body = nal[0] & 0xE0 | _FU_A, nal[0] & 0x1F, nal[1:]
    step = MAX_PAYLOAD_BYTES - 2
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    marks = [_START, *[0] * (len(pieces) - 2), _END]
    return [bytes((indicator, mark | kind)) + piece for mark, piece in zip(marks, pieces, strict=True)]
