"""The heat of a saved event as one message that a browser reads as any other result: `heat.npz` → bytes.

The file has the heat of every window, and windows overlap. What is sent has each slice once, as rules look at it: that
of the first window in which it came.
"""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
import numpy.typing as npt

from streamcam.errors import StreamcamError, first_line, one_line
from streamcam.event import Event
from streamcam.records import Floats, Frame, Heat, Result, Transform
from streamcam.transport.messages import Stamp, decode_header, encode_result
from streamcam.transport.payloads import encode_tensor
from streamcam.web.framing import frame

MAX_HEAT_BYTES = 8 << 20
"""The cube in a message is not larger: of a long event, every second slice is sent, or every third…"""
MAX_SLICES = 1500
"""And so many slices, whose times are in the header."""
MAX_WINDOWS = 500_000
MAX_COLUMN_BYTES = 256 << 20
"""The arrays but for heat: times, scores and logits of all windows."""
FULL_STRENGTH = 99
"""The percentile of the centred heat that is painted at full strength: the file has no scale of the model's own."""
DAMAGE = (
    *(OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error),
    *(ValueError, TypeError, KeyError, IndexError, OverflowError),
)
"""What reading a file raises that is not what it should be."""


def event_heat(file: Path, event: Event) -> bytes:
    """Make the message of a heat.npz.

    It is a `result` as docs/reference/message-format.md has it, framed as on the WebSocket, with two more things:
    `data` has `clip_begin_pts_s` (the stream's time at the clip's beginning, or null) and `thinned` (of so many slices,
    one is sent); the payloads `scores` and `biases` [L',K] have the score and the bias of each class in the window of
    each slice, where logits are biases + the mean of the heat.

    Raises:
        StreamcamError: the file cannot be read, or is not what it should be.
    """
    try:
        with _open(file) as columns:
            return _message(columns, event)
    except DAMAGE as e:
        raise StreamcamError(f"the heat of {event.id} cannot be read: {one_line(first_line(e))}") from e


@dataclass
class _Columns:
    """The arrays of a heat.npz. The large ones are read row by row."""

    archive: zipfile.ZipFile

    def array(self, name: str) -> npt.NDArray[Any]:
        """Read an array that is not large."""
        with self.archive.open(f"{name}.npy") as member:
            shape, dtype = _header(member)
            if int(np.prod(shape)) * dtype.itemsize > MAX_COLUMN_BYTES:
                raise ValueError(f"{name} is too large")
            return np.frombuffer(member.read(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)

    def rows(self, name: str) -> Iterator[npt.NDArray[Any]]:
        """Read an array row by row."""
        with self.archive.open(f"{name}.npy") as member:
            (count, *shape), dtype = _header(member)
            size = int(np.prod(shape)) * dtype.itemsize
            if size > MAX_HEAT_BYTES * 4:
                raise ValueError(f"a row of {name} is too large")
            for _ in range(min(count, MAX_WINDOWS)):
                yield np.frombuffer(member.read(size), dtype).reshape(shape)

    def row_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a row."""
        with self.archive.open(f"{name}.npy") as member:
            return tuple(_header(member)[0][1:])

    def has(self, name: str) -> bool:
        """Whether there is such an array."""
        return f"{name}.npy" in self.archive.namelist()


@contextmanager
def _open(file: Path) -> Iterator[_Columns]:
    with zipfile.ZipFile(file) as archive:
        yield _Columns(archive)


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(member)
    if fortran or dtype.hasobject or any(size < 0 for size in shape):
        raise ValueError("an array that streamcam has not written")
    return shape, dtype


def _message(columns: _Columns, event: Event) -> bytes:
    pts_s = columns.array("slice_pts_s")
    classes = columns.array("classes")
    known = np.unique(classes)
    taken = _new_slices(pts_s)
    shape = columns.row_shape("cube")
    slice_bytes = 2 * len(known) * shape[-2] * shape[-1]
    most = max(2, min(MAX_SLICES, MAX_HEAT_BYTES // max(slice_bytes, 1)))
    thinned = max(1, -(-len(taken) // most))
    taken = taken[::thinned]
    cube, common, biases = _gather(columns, taken, classes, known)
    scores = _scores(columns, taken, classes, known)
    times = np.array([pts_s[window, i] for window, i in taken])
    heat = _heat(columns, event, known, cube, common, times)
    # The class of the peak comes first.
    order = np.argsort(
        [-score - (label == event.label) for label, score in zip(heat.labels, heat.scores.tolist(), strict=True)],
        kind="stable",
    )
    begin = float(columns.array("clip_begin_pts_s")) if columns.has("clip_begin_pts_s") else None
    extra = {"scores": scores[:, order], "biases": biases[:, order]}
    return _framed(heat.keep(order), event, extra, {"clip_begin_pts_s": begin, "thinned": thinned})


def _new_slices(pts_s: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return window and place of each slice that is later than all before."""
    taken, last = [], -np.inf
    for window, times in enumerate(pts_s[:MAX_WINDOWS]):
        for i in np.flatnonzero(times > last + 1e-6).tolist():
            taken.append((window, i))
            last = float(times[i])
    if not taken:
        raise ValueError("no slices")
    return taken


def _gather(
    columns: _Columns, taken: list[tuple[int, int]], classes: npt.NDArray[np.int64], known: npt.NDArray[np.int64]
) -> tuple[Floats, Floats, Floats]:
    """Read the slices that are taken: cube [K,S,h,w], common [S,h,w], biases [S,K].

    A class that a window lacks has no heat there.
    """
    by_window: dict[int, list[tuple[int, int]]] = {}
    for place, (window, i) in enumerate(taken):
        by_window.setdefault(window, []).append((place, i))
    _, _, height, width = columns.row_shape("cube")
    cube = np.zeros((len(known), len(taken), height, width), np.float32)
    common = np.zeros((len(taken), height, width), np.float32)
    biases, logits = np.zeros((len(taken), len(known)), np.float32), columns.array("logits")
    both = zip(columns.rows("cube"), columns.rows("common"), strict=True)
    for window, (of_classes, of_all) in enumerate(both):
        if window not in by_window:
            continue
        rows = np.searchsorted(known, classes[window])
        bias = logits[window, classes[window]] - of_classes.mean((1, 2, 3), dtype=np.float32)
        for place, i in by_window[window]:
            biases[place, rows] = bias
            common[place] = of_all[i]
            cube[:, place] = of_all[i]
            cube[rows, place] = of_classes[:, i]
    return cube, common, biases


def _scores(
    columns: _Columns, taken: list[tuple[int, int]], classes: npt.NDArray[np.int64], known: npt.NDArray[np.int64]
) -> Floats:
    scores = columns.array("scores")
    found = np.zeros((len(taken), len(known)), np.float32)
    for place, (window, _) in enumerate(taken):
        found[place, np.searchsorted(known, classes[window])] = scores[window]
    return found


def _heat(
    columns: _Columns,
    event: Event,
    known: npt.NDArray[np.int64],
    cube: Floats,
    common: Floats,
    times: npt.NDArray[np.float64],
) -> Heat:
    """Make a record of all slices."""
    labels = columns.array("labels")
    names = [str(labels[index]) for index in known]
    transform = columns.array("transform").tolist()
    full = max(float(np.percentile(cube - common, FULL_STRENGTH)), 1e-6)
    return Heat(
        cube=cube,
        common=common,
        classes=known,
        labels=tuple(names),
        scores=np.array([event.scores.get(name, 0.0) for name in names], np.float32).clip(0, 1),
        logits=np.asarray(columns.array("logits")[0], np.float32),
        scale=np.full(len(known), full, np.float32),
        pts_s=times,
        clip_pts_s=(float(times[0]), float(times[-1])),
        transform=Transform(*transform),
        model="",
        model_hash="",
    )


def _framed(heat: Heat, event: Event, extra: dict[str, Floats], data: dict[str, float | int | None]) -> bytes:
    tensors = [encode_tensor(name, values, "f4") for name, values in extra.items()]
    moment = Frame(None, 0, event.start_pts_s, event.start_ns, event.source, session=event.session)
    parts = encode_result(Result(moment, heat), Stamp("saved", 0, event.start_ns))
    header = decode_header(parts)
    header = msgspec.structs.replace(header, data=data, payloads=[*header.payloads, *(info for info, _ in tensors)])
    return frame(
        [event.source.encode(), parts[0], msgspec.json.encode(header), *parts[2:], *(body for _, body in tensors)]
    )
