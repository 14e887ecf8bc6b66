"""The binary payloads of a `streamcam/1` message: tensors and JPEG pictures ↔ bytes, within limits."""

import struct
from math import prod
from typing import Any, Literal

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from streamcam.records import Image, Picture, on_host

MAX_PAYLOAD_BYTES = 256 * 1024 * 1024
MAX_PIXELS = 8192 * 8192
MAX_HALF = 6e4
"""Close to the greatest float16, 65504."""
MAX_SEGMENTS = 256
"""The most segments of a JPEG file before its first scan."""
JPEG_QUALITY = 85
DTYPES = {"u1": "<u1", "f2": "<f2", "f4": "<f4"}
"""The types of tensors, as a message names them → as NumPy does."""

# Markers of JPEG segments, the byte after 0xFF (ITU-T T.81, table B.1).
_JPEG_FRAMES = frozenset({0xC0, 0xC1})
"""The frame headers of sequential pictures: SOF0 and SOF1."""
_JPEG_SCAN = 0xDA
_JPEG_SEGMENTS = frozenset({0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})
"""Segments that may come before the scan: tables, restart interval, comment, application data."""


class MessageError(ValueError):
    """A message that is not well-formed `streamcam/1`. Receivers drop it and count it."""


class PayloadInfo(msgspec.Struct, frozen=True):
    """The description of one payload, in the header of its message."""

    name: str
    media: Literal["tensor", "image/jpeg"]
    dtype: str
    shape: list[int]
    nbytes: int
    scale: float = 1.0
    """The factor that the numbers were multiplied by to fit the type; the receiver divides by it."""


def encode_tensor(name: str, array: npt.NDArray[np.float32], dtype: Literal["f2", "f4"]) -> tuple[PayloadInfo, bytes]:
    """Encode a tensor; return its description and bytes. Half precision is scaled down where it would overflow."""
    scale = 1.0
    if dtype == "f2":
        # Heat of an untrained or odd network can exceed float16, where it would become infinite.
        peak = float(np.abs(array).max(initial=0.0))
        scale = min(1.0, MAX_HALF / peak) if peak else 1.0
    body = np.ascontiguousarray(array * scale if scale != 1.0 else array, dtype=DTYPES[dtype]).tobytes()
    return PayloadInfo(name, "tensor", dtype, list(array.shape), len(body), scale), body


def encode_image(name: str, picture: Picture) -> tuple[PayloadInfo, bytes]:
    """Encode a picture, uint8 [H,W,3] RGB, as JPEG; return its description and bytes.

    A GPU image is encoded on its GPU, where that can be done.
    """
    body = None if isinstance(picture, np.ndarray) else picture.jpeg(JPEG_QUALITY)
    if body is None:
        bgr = cv2.cvtColor(on_host(picture), cv2.COLOR_RGB2BGR)
        body = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
    return PayloadInfo(name, "image/jpeg", "u1", list(picture.shape), len(body)), body


def decode_payload(info: PayloadInfo, body: bytes) -> npt.NDArray[Any]:
    """Decode a tensor, as float32, or a picture, as uint8 [H,W,3] RGB: the payload named `image`.

    Raises:
        MessageError: it is not as its description says, or exceeds a limit.
    """
    if len(body) != info.nbytes or len(body) > MAX_PAYLOAD_BYTES:
        raise MessageError(f"payload {info.name!r}: expected {info.nbytes} bytes, got {len(body)}")
    if len(info.shape) > 4 or any(n < 0 for n in info.shape):
        raise MessageError(f"payload {info.name!r}: expected up to 4 sizes of 0 or more, got {info.shape}")
    media = "image/jpeg" if info.name == "image" else "tensor"
    if info.media != media:
        raise MessageError(f"payload {info.name!r}: expected {media}, got {info.media}")
    return _decode_jpeg(info, body) if media == "image/jpeg" else _decode_tensor(info, body)


def _decode_jpeg(info: PayloadInfo, body: bytes) -> Image:
    # A decoder takes as much memory as the JPEG's own header asks for: so that is checked first.
    if [*_jpeg_size(body), 3] != info.shape or not 0 < prod(info.shape[:2]) <= MAX_PIXELS:
        raise MessageError(f"payload {info.name!r}: not a JPEG picture of shape {info.shape}")
    try:
        rgb = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as e:
        raise MessageError(str(e)) from e
    if rgb is None or list(rgb.shape) != info.shape:
        raise MessageError(f"payload {info.name!r}: not a JPEG picture that can be decoded")
    return np.asarray(rgb, np.uint8)


def _jpeg_size(body: bytes) -> tuple[int, int]:
    """Return (height, width) from a JPEG file's frame header (ITU-T T.81, annex B); (0, 0) if it is not accepted.

    The picture must be sequential, and its first scan must hold all components, so that the decoder reads no second
    scan. A progressive picture, or one of thousands of empty scans, has few bytes and can take minutes to decode. Only
    plain segments may come before the two headers, so that the decoder finds the same headers as this function.
    """
    height = width = components = 0
    at = 2 if body[:2] == b"\xff\xd8" else len(body)
    for _ in range(MAX_SEGMENTS):
        # A segment: 0xFF, its marker, and two bytes of length, which counts itself but not the first two bytes.
        if at + 10 > len(body) or body[at] != 0xFF:
            break
        marker, length = body[at + 1], int.from_bytes(body[at + 2 : at + 4], "big")
        if marker == _JPEG_SCAN:  # followed by the number of the scan's components
            return (height, width) if body[at + 4] == components else (0, 0)
        if marker in _JPEG_FRAMES and not components:
            # After the length: one byte of sample depth, then height, width and the number of components.
            height, width, components = struct.unpack(">HHB", body[at + 5 : at + 10])
        elif marker not in _JPEG_SEGMENTS:
            break
        if length < 2:
            break
        at += 2 + length
    return 0, 0


def _decode_tensor(info: PayloadInfo, body: bytes) -> npt.NDArray[Any]:
    if info.dtype not in DTYPES:
        raise MessageError(f"payload {info.name!r}: expected dtype {', '.join(DTYPES)}, got {info.dtype[:20]!r}")
    dtype = np.dtype(DTYPES[info.dtype])
    if prod(info.shape) * dtype.itemsize != info.nbytes:
        raise MessageError(f"payload {info.name!r}: {info.nbytes} bytes do not make shape {info.shape} of {info.dtype}")
    with np.errstate(all="ignore"):
        scale = np.float32(info.scale)
        array = np.frombuffer(body, dtype).reshape(info.shape).astype(np.float32) / scale
    if not (0 < scale < np.inf and np.isfinite(array).all()):
        raise MessageError(f"payload {info.name!r}: expected numbers that are finite, and a scale above 0")
    return array
