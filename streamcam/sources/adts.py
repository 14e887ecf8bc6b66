"""AAC as broadcasts have it, each packet with a header (ADTS) → AAC as an mp4 has it, with one description of all.

FFmpeg's own filter for this, `aac_adtstoasc`, tells the description with the first packet: too late for a file whose
description was written before.
"""

SYNC = 0xFFF
"""The first twelve bits of a header (ISO/IEC 13818-7, section 6.2)."""

RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
"""The sample rates in hertz, by the number that stands for them."""

LOW_COMPLEXITY = 2
"""The number of the usual kind of AAC, and of the core of the others."""


def has_header(data: bytes) -> bool:
    """Whether a packet of AAC begins with a header."""
    return len(data) > 7 and int.from_bytes(data[:2]) >> 4 == SYNC


def without_header(data: bytes) -> bytes:
    """Return a packet without its header, which has two bytes more where there is a checksum."""
    return data[7 if data[1] & 1 else 9 :] if has_header(data) else data


def described_by_header(data: bytes) -> bytes:
    """Return the AudioSpecificConfig (ISO/IEC 14496-3, section 1.6.2.1) that a packet's header stands for."""
    bits = int.from_bytes(data[2:4])
    return _described((bits >> 14) + 1, bits >> 10 & 15, bits >> 6 & 7)


def described_by_rate(rate: int, channels: int) -> bytes | None:
    """Return the AudioSpecificConfig of usual AAC; None where it has no number for the rate."""
    if rate not in RATES or not 1 <= channels <= 6:
        return None
    return _described(LOW_COMPLEXITY, RATES.index(rate), channels)


def _described(kind: int, rate: int, channels: int) -> bytes:
    return (kind << 11 | rate << 7 | channels << 3).to_bytes(2)
