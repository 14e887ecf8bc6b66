"""H.264 in RTP packets, without a network."""

import struct
from itertools import pairwise
from random import Random

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcam.web.rtsp.h264 import LiveEncoder
from streamcam.web.rtsp.rtp import MAX_PAYLOAD_BYTES, Packetiser, split_nals
from tests.support.publish_demo import image_of


def joined(payloads: list[bytes]) -> list[bytes]:
    """The NAL units of RTP payloads, as RFC 6184 has it."""
    nals: list[bytes] = []
    for payload in payloads:
        if payload[0] & 0x1F != 28:
            nals.append(payload)
        elif payload[1] & 0x80:
            nals.append(bytes([payload[0] & 0xE0 | payload[1] & 0x1F]) + payload[2:])
        else:
            nals[-1] += payload[2:]
    return nals


nal = st.builds(
    lambda kind, body: bytes([0x60 | kind]) + body,
    st.integers(1, 23),
    st.one_of(st.binary(min_size=1, max_size=50), st.integers(1300, 6000).map(lambda n: b"\x55" * n)),
)


@given(st.lists(nal, min_size=1, max_size=4), st.integers(0, 2**33))
def test_a_picture_arrives_as_it_was(nals: list[bytes], ticks: int) -> None:
    packets = Packetiser(randomness=Random(1)).packets(nals, ticks)
    heads = [struct.unpack(">BBHII", packet[:12]) for packet in packets]
    assert joined([packet[12:] for packet in packets]) == nals
    assert all(len(packet) <= 12 + MAX_PAYLOAD_BYTES for packet in packets)
    assert [kind >> 7 for _, kind, *_ in heads] == [0] * (len(packets) - 1) + [1]
    numbers = [number for _, _, number, *_ in heads]
    assert all((b - a) % 2**16 == 1 for a, b in pairwise(numbers))
    assert len({timestamp for *_, timestamp, _ in heads}) == 1


@given(st.lists(st.binary(min_size=1, max_size=20).map(lambda b: b"\x65" + b.replace(b"\0", b"\x01")), max_size=5))
def test_nal_units_are_found_between_start_codes(nals: list[bytes]) -> None:
    codes = (b"\0\0\1", b"\0\0\0\1")
    assert split_nals(b"".join(codes[i % 2] + nal for i, nal in enumerate(nals))) == nals


def test_a_report_says_when_a_picture_was_captured() -> None:
    packetiser = Packetiser(randomness=Random(1))
    (packet,) = packetiser.packets([b"\x65abc"], 900)
    timestamp, source = struct.unpack(">II", packet[4:12])
    report = packetiser.report(1_796_059_329_500_000_000, 900)
    _, kind, length, sender, seconds, fraction, when, packets, octets = struct.unpack(">BBHIIIIII", report[:28])
    assert (kind, length, sender, when, packets, octets) == (200, 6, source, timestamp, 1, 4)
    assert (seconds - 2_208_988_800, fraction / 2**32) == (1_796_059_329, pytest.approx(0.5))
    assert len(report) % 4 == 0
    assert struct.unpack(">H", report[30:32])[0] == (len(report) - 28) // 4 - 1


def test_every_picture_comes_out_at_once_and_key_frames_every_two_seconds() -> None:
    encoder, keys = LiveEncoder(640, 480), []
    decoder = av.CodecContext.create("h264", "r")
    for i in range(61):
        nals = encoder.encode(image_of(i), i * 9000)
        if any(nal[0] & 0x1F == 5 for nal in nals):
            assert {7, 8} <= {nal[0] & 0x1F for nal in nals}, "a key frame brings the parameters"
            keys.append(i)
        packet = av.Packet(b"".join(b"\0\0\0\1" + nal for nal in nals))
        shown = [frame.to_ndarray(format="rgb24") for frame in decoder.decode(packet)]
    assert keys == [0, 20, 40, 60]
    assert np.abs(shown[-1].astype(int) - image_of(60)).max() < 12


@pytest.mark.parametrize(("width", "height"), [(641, 479), (1, 1), (2, 1), (16, 16), (1920, 1080)])
def test_odd_sizes_become_even(width: int, height: int) -> None:
    encoder = LiveEncoder(width, height)
    assert encoder.encode(np.zeros((height, width, 3), np.uint8), 0)
    level = encoder.sequence_set[3]
    assert level <= 40
    assert "a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0" in encoder.session_description("::1")
    assert "c=IN IP6 ::1" in encoder.session_description("::1")
