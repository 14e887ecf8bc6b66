"""Messages as a publisher sends them, and ways to damage them."""

import json
from typing import Any

import numpy as np
from hypothesis import strategies as st

from streamcam.event import Event, Rectangle, TubeBox
from streamcam.records import Frame, Heat, Image, Result, Transform
from streamcam.transport.messages import (
    Stamp,
    encode_directory,
    encode_event_message,
    encode_picture,
    encode_result,
    encode_status,
)

STAMP = Stamp("abc123", 41, 1_700_000_000_000_000_000)
CAPTURED_NS = 1_699_999_999_900_000_000


def a_heat(*, scaled: bool = True, classes: int = 3) -> Heat:
    rng = np.random.default_rng(5)
    return Heat(
        cube=rng.normal(0, 5, (classes, 2, 7, 6)).astype(np.float32),
        common=rng.normal(0, 5, (2, 7, 6)).astype(np.float32),
        classes=np.arange(classes)[::-1].copy(),
        labels=("Bär", "猫 🐈", 'a "quoted" class\n')[:classes] + ("x",) * (classes - 3),
        scores=rng.random(classes, np.float32),
        logits=rng.normal(0, 5, classes + 2).astype(np.float32),
        scale=rng.random(classes, np.float32) + 1 if scaled else None,
        pts_s=np.array([1.1, 1.3]),
        clip_pts_s=(1.0, 1.4),
        transform=Transform(0.1, 0.0, 0.9, 0.75),
        model="tiny",
        model_hash="0a1b",
        lookahead_s=0.4,
    )


def a_picture() -> Image:
    """Smooth, so that JPEG keeps it close, and different in R, G and B."""
    y, x = np.mgrid[0:24, 0:32]
    return np.stack([x * 7, y * 10, 255 - x * 7], axis=-1).astype(np.uint8)


def a_result(heat: Heat | None = None) -> Result:
    frame = Frame(a_picture(), 77, 1.5, CAPTURED_NS, "cam1", session=2)
    return Result(frame, heat or a_heat(), {"infer": 12.345, "decode": 0.5}, {"window": 3})


def a_message() -> list[bytes]:
    return encode_result(a_result(), STAMP)


def an_event(**fields: Any) -> Event:
    """The record of an event with all that it can tell."""
    told: dict[str, Any] = {
        "id": "20261130T172209.041Z-cam1-wrong-way",
        "state": "saved",
        "rule": "wrong-way",
        "source": "cam1",
        "session": 2,
        "zone": "yard",
        "label": "猫 🐈",
        "start_pts_s": 1.25,
        "pts_s": 3.5,
        "start_ns": 1_795_360_041_221_006_000,
        "score": 0.5,
        "peak": 0.875,
        "peak_pts_s": 2.0,
        "scores": {"猫 🐈": 0.875, "Bär": 0.25},
        "box": Rectangle(0.1, 0.2, 0.6, 0.9),
        "tube": (TubeBox(1.25, Rectangle(0.1, 0.2, 0.3, 0.4)), TubeBox(2.0, Rectangle(0.1, 0.2, 0.6, 0.9))),
        "camera_ns": 1_795_360_041_000_000_000,
        "reason": "over",
        "folder": "2026-11-30/20261130T172209.041Z-cam1-wrong-way",
        "files": ("clip.mp4", "snapshot.jpg"),
    }
    return Event(**told | fields)


MESSAGES = [
    a_message(),
    encode_result(a_result(a_heat(scaled=False)), STAMP),
    encode_picture("frame", a_result(), a_picture(), STAMP),
    encode_picture("overlay", a_result(), a_picture(), STAMP),
    encode_status("cam1", {"state": "live", "fps": 24.5}, STAMP),
    encode_directory(["cam1", "cam10"], STAMP),
    encode_event_message(an_event(), STAMP),
]


INTEGERS = st.integers() | st.sampled_from([-1, 0, 2**31, 2**63, 2**64, 10**400, 10**4200])
NUMBERS = INTEGERS | st.floats() | st.sampled_from([1e-300, 1e300, 1e-40, 1e39])
TEXTS = st.text(max_size=8) | st.sampled_from(["NaN", "Infinity", "u1", "f2", "f4", "image/jpeg", "tensor", "cube"])
SHAPES = st.lists(st.sampled_from([-1, 0, 1, 2, 7, 2**31, 2**32, 2**63, 2**64]), max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS | SHAPES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values within a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inside = [place for key, inner in items for place in places(inner, (*path, key))]
    return [path, *inside] if path else inside


def put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


@st.composite
def damaged_bytes(draw: st.DrawFn) -> list[bytes]:
    """Bytes are flipped, cut off or put in, in any parts."""
    message = list(draw(st.sampled_from(MESSAGES)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(message) - 1))
        part = message[at]
        where = draw(st.integers(0, len(part)))
        match draw(st.sampled_from(["flip", "cut", "put"])):
            case "flip":
                flipped = bytes(byte ^ draw(st.integers(1, 255)) for byte in part[where : where + 1])
                message[at] = part[:where] + flipped + part[where + 1 :]
            case "cut":
                message[at] = part[:where]
            case "put":
                message[at] = part[:where] + draw(st.binary(max_size=8)) + part[where:]
    return message


@st.composite
def shuffled_parts(draw: st.DrawFn) -> list[bytes]:
    """Parts are missing, there twice, in another order, or from another message."""
    message, other = list(draw(st.sampled_from(MESSAGES))), draw(st.sampled_from(MESSAGES))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(message)))
        match draw(st.sampled_from(["drop", "twice", "swap", "other", "many"])):
            case "drop":
                del message[at : at + 1]
            case "twice":
                message[at:at] = message[at : at + 1]
            case "swap":
                message[at : at + 2] = message[at : at + 2][::-1]
            case "other":
                message[at : at + 1] = [draw(st.sampled_from(other))]
            case "many":
                message += [b""] * draw(st.integers(1, 40))
    return message


@st.composite
def replaced_fields(draw: st.DrawFn) -> list[bytes]:
    """The header is proper JSON whose values are not what they should be."""
    message = list(draw(st.sampled_from(MESSAGES)))
    header = json.loads(message[1])
    for _ in range(draw(st.integers(1, 3))):
        put(header, draw(st.sampled_from(places(header))), draw(JSON))
    message[1] = json.dumps(header).encode()
    return message


@st.composite
def replaced_descriptions(draw: st.DrawFn) -> list[bytes]:
    """A part says something else of itself, or is something else."""
    message = list(draw(st.sampled_from(MESSAGES[:4])))
    header = json.loads(message[1])
    at = draw(st.integers(0, len(header["parts"]) - 1))
    body = draw(st.just(message[2 + at]) | st.binary(max_size=64))
    header["parts"][at] |= {"nbytes": len(body)} | draw(
        st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from(["cube", "common", "logits", "image"]),
                "media": st.sampled_from(["tensor", "image/jpeg"]),
                "dtype": st.sampled_from(["u1", "f2", "f4", "O", ""]),
                "shape": SHAPES | st.just([len(body)]) | st.just([len(body) // 2]),
                "scale": NUMBERS,
            },
        )
    )
    message[1], message[2 + at] = json.dumps(header).encode(), body
    return message
