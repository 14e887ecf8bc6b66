"""The binary parts of a `streamcam/1` message: tensors and JPEG pictures ↔ bytes, within limits."""

import struct
from math import prod
from typing import Any, Literal

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from streamcam.records import Image, Picture, on_host

MAX_PART_BYTES = 256 * 1024 * 1024
MAX_PIXELS = 8192 * 8192
MAX_SEGMENTS = 256
"""Of a JPEG picture, before its first scan."""
JPEG_QUALITY = 85
DTYPES = {"u1": "<u1", "f2": "<f2", "f4": "<f4"}

_JPEG_FRAMES = frozenset({0xC0, 0xC1})
_JPEG_SCAN = 0xDA
_JPEG_SEGMENTS = frozenset({0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})
"""Tables, restart interval, comment, and what applications add."""


class WireError(ValueError):
    """A message that is not well-formed `streamcam/1`. Receivers drop it and count it."""


class Part(msgspec.Struct, frozen=True):
    """What one binary part holds."""

    name: str
    media: Literal["tensor", "image/jpeg"]
    dtype: str
    shape: list[int]
    nbytes: int
    scale: float = 1.0
    """What the numbers were multiplied by to fit the type; divide by it."""


def tensor_part(name: str, array: npt.NDArray[np.float32], dtype: Literal["f2", "f4"]) -> tuple[Part, bytes]:
    """A tensor and its description; half-precision numbers are scaled down where they would overflow."""
    scale = 1.0
    if dtype == "f2":
        peak = float(np.abs(array).max(initial=0.0))
        scale = min(1.0, 6e4 / peak) if peak else 1.0
    body = np.ascontiguousarray(array * scale if scale != 1.0 else array, dtype=DTYPES[dtype]).tobytes()
    return Part(name, "tensor", dtype, list(array.shape), len(body), scale), body


def picture_part(name: str, picture: Picture) -> tuple[Part, bytes]:
    """A picture, uint8 [H,W,3] RGB, as JPEG, and its description. It is made where the picture lies, if it can be."""
    body = None if isinstance(picture, np.ndarray) else picture.jpeg(JPEG_QUALITY)
    if body is None:
        bgr = cv2.cvtColor(on_host(picture), cv2.COLOR_RGB2BGR)
        body = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
    return Part(name, "image/jpeg", "u1", list(picture.shape), len(body)), body


def read(part: Part, body: bytes) -> npt.NDArray[Any]:
    """A tensor as float32, or a picture as uint8 [H,W,3] RGB.

    Raises:
        WireError: it is not what its description says, or more than a message may hold.
    """
    if len(body) != part.nbytes or len(body) > MAX_PART_BYTES:
        raise WireError(f"part {part.name!r}: expected {part.nbytes} bytes, got {len(body)}")
    if len(part.shape) > 4 or any(n < 0 for n in part.shape):
        raise WireError(f"part {part.name!r}: expected up to 4 sizes of 0 or more, got {part.shape}")
    media = "image/jpeg" if part.name == "image" else "tensor"
    if part.media != media:
        raise WireError(f"part {part.name!r}: expected {media}, got {part.media}")
    return _read_jpeg(part, body) if media == "image/jpeg" else _read_tensor(part, body)


def _read_jpeg(part: Part, body: bytes) -> Image:
    # What is decoded is as large as the JPEG says: so it is asked before any memory is taken.
    if [*_jpeg_size(body), 3] != part.shape or not 0 < prod(part.shape[:2]) <= MAX_PIXELS:
        raise WireError(f"part {part.name!r}: not a JPEG picture of shape {part.shape}")
    try:
        rgb = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as e:
        raise WireError(str(e)) from e
    if rgb is None or list(rgb.shape) != part.shape:
        raise WireError(f"part {part.name!r}: not a JPEG picture that can be decoded")
    return np.asarray(rgb, np.uint8)


def _jpeg_size(body: bytes) -> tuple[int, int]:
    """(height, width) in a JPEG file's frame header; (0, 0) where there is none (ITU-T T.81, annex B).

    Pictures are sequential, and their first scan holds all components, so that a decoder takes no other: a progressive
    one, or one of thousands of empty scans, can take minutes though it has few bytes. Nothing but plain segments may
    come before either header, so that the decoder cannot take another place for it than this does.
    """
    height = width = components = 0
    at = 2 if body[:2] == b"\xff\xd8" else len(body)
    for _ in range(MAX_SEGMENTS):
        if at + 10 > len(body) or body[at] != 0xFF:
            break
        marker, length = body[at + 1], int.from_bytes(body[at + 2 : at + 4], "big")
        if marker == _JPEG_SCAN:
            return (height, width) if body[at + 4] == components else (0, 0)
        if marker in _JPEG_FRAMES and not components:
            height, width, components = struct.unpack(">HHB", body[at + 5 : at + 10])
        elif marker not in _JPEG_SEGMENTS:
            break
        if length < 2:
            break
        at += 2 + length
    return 0, 0


def _read_tensor(part: Part, body: bytes) -> npt.NDArray[Any]:
    if part.dtype not in DTYPES:
        raise WireError(f"part {part.name!r}: expected dtype {', '.join(DTYPES)}, got {part.dtype[:20]!r}")
    dtype = np.dtype(DTYPES[part.dtype])
    if prod(part.shape) * dtype.itemsize != part.nbytes:
        raise WireError(f"part {part.name!r}: {part.nbytes} bytes do not make shape {part.shape} of {part.dtype}")
    with np.errstate(all="ignore"):
        scale = np.float32(part.scale)
        array = np.frombuffer(body, dtype).reshape(part.shape).astype(np.float32) / scale
    if not (0 < scale < np.inf and np.isfinite(array).all()):
        raise WireError(f"part {part.name!r}: expected numbers that are finite, and a scale above 0")
    return array
