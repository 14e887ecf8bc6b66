"""What strangers send, a hundred thousand times over: it is read, or refused by the one error that is meant for it.

`scripts/endurance/fuzz.py` goes on for as long as one likes, guided by coverage.
"""

import random
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import msgspec
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

import scripts.endurance.fuzz as fuzz
from streamcam.errors import redact
from streamcam.transport.messages import decode
from streamcam.transport.payloads import MessageError
from tests.support.messages import MESSAGES
from tests.support.mutations import mutate

BATCH, BATCHES = 200, 600
SEEDS = st.integers(0, 2**64 - 1)
MANY = settings(
    max_examples=BATCHES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # a seed does not get simpler by getting smaller
    suppress_health_check=[HealthCheck.too_slow],
)


def mutated(rng: random.Random) -> list[bytes]:
    """A message with one to three changes: in a part, of parts, or in the bytes that they come as."""
    message, other = list(rng.choice(MESSAGES)), rng.choice(MESSAGES)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(message)) if message else 0
        match rng.randrange(8):
            case 0 if message:
                del message[at]
            case 1:
                message.insert(at, rng.choice(other))
            case 2 if message:
                message[at] = rng.choice(other)
            case 3:
                message = fuzz.unframe(mutate(fuzz.frame(message), fuzz.frame(other), rng))
            case 4:
                message = [rng.randbytes(rng.randrange(40)) for _ in range(rng.randrange(8))]
            case _ if message:
                at = rng.choice((at, min(1, len(message) - 1)))
                message[at] = mutate(message[at], other[min(at, len(other) - 1)], rng)
    return message


def test_no_message_of_a_hundred_thousand_does_harm() -> None:
    """What comes out is a message, or `MessageError`, soon, and in the memory that the message itself takes."""
    counts: Counter[str] = Counter()
    slowest_s = 0.0

    @MANY
    @given(seed=SEEDS)
    def batch(seed: int) -> None:
        nonlocal slowest_s
        rng = random.Random(seed)
        for _ in range(BATCH):
            message = mutated(rng)
            started_s = time.perf_counter()
            try:
                decode(message)
                counts["read"] += 1
            except MessageError:
                counts["refused"] += 1
            slowest_s = max(slowest_s, time.perf_counter() - started_s)

    batch()
    assert counts.total() >= 100_000
    assert counts["refused"] > 10_000
    assert counts["read"] > 1_000
    assert slowest_s < 5


def test_no_message_takes_more_memory_than_it_says() -> None:
    """Twice what it brings, as single precision, and the picture in it, which is as large as its header says."""
    rng = random.Random(7)
    messages = [mutated(rng) for _ in range(4000)]
    tracemalloc.start()
    try:
        for message in messages:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            with suppress(MessageError):
                decode(message)
            taken = tracemalloc.get_traced_memory()[1] - before
            assert taken < 16 * sum(map(len, message)) + 200_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("lie", [[2**62], [2**31, 2**31], [2**32, 2**32, 2**32, 2**32], [10**9, 0], [-1, -1]])
def test_a_part_that_claims_to_be_giant_takes_nothing(lie: list[int]) -> None:
    message = list(MESSAGES[0])
    header = msgspec.json.decode(message[1])
    header["parts"][0]["shape"] = lie
    message[1] = msgspec.json.encode(header)
    tracemalloc.start()
    try:
        with pytest.raises(MessageError):
            decode(message)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


JPEG = MESSAGES[2]
FRAME_HEADER = JPEG[2].index(b"\xff\xc0")


def with_jpeg(jpeg: bytes, shape: list[int]) -> list[bytes]:
    header = msgspec.json.decode(JPEG[1])
    header["parts"][0] |= {"shape": shape, "nbytes": len(jpeg)}
    return [JPEG[0], msgspec.json.encode(header), jpeg]


def sized(jpeg: bytes, height: int, width: int) -> bytes:
    at = FRAME_HEADER + 5
    return jpeg[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + jpeg[at + 4 :]


def many_scans(count: int) -> bytes:
    """Sequential, with many scans of one component each, and no data: a decoder passes over all blocks at each."""
    start = JPEG[2].index(b"\xff\xda")
    return JPEG[2][:start] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" * count + b"\xff\xd9"


@pytest.mark.parametrize("text", ["a" * 40_000, "_pass" * 8_000, "@" + "a://a:" * 7_000, "a:b@c " * 7_000])
def test_what_takes_passwords_out_takes_no_longer_for_a_text_made_to_be_slow(text: str) -> None:
    """The slowest of them would take hours if it were not for linear patterns; they take some milliseconds."""
    started_s = time.perf_counter()
    assert len(redact(text)) > 10_000
    assert time.perf_counter() - started_s < 5


@pytest.mark.parametrize(
    "jpeg",
    [
        sized(JPEG[2], 65_500, 65_500),
        sized(JPEG[2], 24, 0),
        JPEG[2][:2] + b"\xff\xff" + JPEG[2][2:],  # filling, that a decoder passes over
        JPEG[2][:2] + b"\xff\xd0" + JPEG[2][2:],
        JPEG[2][:FRAME_HEADER] + b"\xff\xc2" + JPEG[2][FRAME_HEADER + 2 :],  # progressive
        many_scans(2_000),
        JPEG[2][:2] + b"\xff\xfe\x00\x02" * 300 + JPEG[2][2:],  # empty comments, of which 256 MB can be sent
        # Two headers: the small one is in what a decoder passes over.
        b"\xff\xd8\xff\xff\xe0\x00" + JPEG[2][FRAME_HEADER : FRAME_HEADER + 19] + sized(JPEG[2], 30_000, 30_000)[2:],
    ],
)
def test_a_picture_is_as_large_as_it_says_or_is_not_decoded(jpeg: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("streamcam.transport.payloads.cv2.imdecode", decoded)
    for shape in ([24, 32, 3], [65_500, 65_500, 3], [30_000, 30_000, 3], [24, 0, 3]):
        with pytest.raises(MessageError):
            decode(with_jpeg(jpeg, shape))


CONFIG = b"""sources:
  - uri: rtsp://user:pw@cam/live
    name: door
  - 0
model: imagenet
classes: [cup, cat]
fps: 12.5
hop: 3
dense: false
"""
CARD = b"""{"format": "streamcam-checkpoint/1", "name": "gestures", "architecture": "resnet18",
"classes": ["wave", "nod"],
"clip": {"length": 8, "fps": 15, "resize": [72, 96], "crop": [64, 64], "mean": [1, 2, 3], "std": [1, 2, 3]},
"heat_scale": [1.0, 2.0], "metrics": {"accuracy": 0.9}, "licence": "CC0-1.0", "about": "Made for a test.",
"weights_sha256": "0123456789012345678901234567890123456789012345678901234567890123"}"""
WEIGHTS = save({"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.zeros(2, dtype=torch.float16)})
KEY = b'# made\nmetadata\n  name = "x"\ncurve\n    public-key = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"\n'
FILES = {"config": (CONFIG, 600), "card": (CARD, 2000), "weights": (WEIGHTS, 1500), "key": (KEY, 1500)}


@pytest.mark.parametrize("kind", FILES)
def test_whatever_is_in_a_file_is_used_or_ends_in_one_line(kind: str) -> None:
    content, count = FILES[kind]
    target: Callable[[bytes], None] = fuzz.TARGETS[kind]()
    target(content)
    rng = random.Random(3)
    for _ in range(count):
        changed = content
        for _ in range(rng.choice((1, 1, 2, 4))):
            changed = mutate(changed, content, rng)
        target(changed)


def test_messages_come_back_from_one_piece_of_bytes() -> None:
    for message in MESSAGES:
        assert fuzz.unframe(fuzz.frame(message)) == message
