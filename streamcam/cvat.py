"""CVAT's XML for videos (version 1.1) → tracks: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from streamcam.errors import StreamcamError

SOURCES = ("meta/task/source", "meta/source", "meta/job/source")
"""Where the file says which video it is about."""

SIZES = ("meta/task/original_size", "meta/original_size", "meta/job/original_size")
TOLERANCE = 1.0
"""A box may end this many pixels outside of the picture: people draw to its edge."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Where a thing is in one frame."""

    frame: int
    """From 0."""
    outside: bool
    """Whether the thing is not in the picture, from this frame on."""
    box: tuple[float, float, float, float] | None
    """x0, y0, x1, y1 in pixels; None outside of the picture, and for shapes that are not upright boxes."""


@dataclass(frozen=True, slots=True)
class Track:
    """One thing of a video over time."""

    name: str
    label: str
    shapes: list[Shape]
    """Sorted by frame."""

    def visible_spans(self) -> Iterator[tuple[int, int]]:
        """Yield the first and the last frame of each span in which the thing is in the picture."""
        first: int | None = None
        for shape in self.shapes:
            if shape.outside and first is not None:
                yield first, max(first, shape.frame - 1)
                first = None
            elif not shape.outside and first is None:
                first = shape.frame
        if first is not None:
            yield first, self.shapes[-1].frame


@dataclass(frozen=True, slots=True)
class TrackedVideo:
    """All tracks of a video."""

    source: str
    """The video's name."""
    tracks: list[Track]


def is_cvat(path: Path) -> bool:
    """Return whether a file is XML of CVAT, of any kind."""
    if path.suffix.lower() != ".xml" or not path.is_file():
        return False
    try:
        return ElementTree.parse(path).getroot().tag == "annotations"
    except (OSError, ElementTree.ParseError):
        return False


def read_cvat(path: Path) -> TrackedVideo:
    """Read the tracks of a file.

    Raises:
        StreamcamError: it has no tracks, or a shape is wrong; the message names the track and the frame.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as e:
        raise StreamcamError(f"cannot read {path}: expected XML of CVAT ({e})") from e
    if root.find("meta/project") is not None:
        raise StreamcamError(f"{path}: a whole project of CVAT: export each of its tasks as 'CVAT for video 1.1'")
    tracks = [_track(track, path, _size(root, path)) for track in root.iter("track")]
    if not tracks:
        raise StreamcamError(f"{path} holds no tracks: export the task as 'CVAT for video 1.1'")
    sources = [text for place in SOURCES if (text := root.findtext(place, "").strip())]
    return TrackedVideo(sources[0] if sources else path.with_suffix(".mp4").name, tracks)


def _size(root: ElementTree.Element, path: Path) -> tuple[float, float] | None:
    """Return the width and height of the video, in pixels; None where the file does not say."""
    for place in SIZES:
        size = root.find(place)
        if size is not None:
            return _number(size.findtext("width"), f"{path}, width"), _number(
                size.findtext("height"), f"{path}, height"
            )
    return None


def _track(track: ElementTree.Element, path: Path, size: tuple[float, float] | None) -> Track:
    name, label = track.get("id", ""), track.get("label", "").strip()
    if not label:
        raise StreamcamError(f"{path}, track {name}: it has no label")
    shapes = [_shape(shape, f"{path}, track {name}", size) for shape in track if "frame" in shape.attrib]
    return Track(name, label, sorted(shapes, key=lambda shape: shape.frame))


def _shape(shape: ElementTree.Element, where: str, size: tuple[float, float] | None) -> Shape:
    frame, outside = shape.get("frame", ""), shape.get("outside") == "1"
    if not frame.isdecimal():
        raise StreamcamError(f"{where}: expected frames from 0 on, got {frame!r}")
    has_box = shape.tag == "box" and not outside and _number(shape.get("rotation", "0"), where) == 0
    return Shape(int(frame), outside, _box(shape, f"{where}, frame {frame}", size) if has_box else None)


def _box(shape: ElementTree.Element, where: str, size: tuple[float, float] | None) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (_number(shape.get(key), f"{where}, {key}") for key in ("xtl", "ytl", "xbr", "ybr"))
    if not x0 < x1 or not y0 < y1:
        raise StreamcamError(f"{where}: expected a box with xtl < xbr and ytl < ybr, got {x0:g},{y0:g},{x1:g},{y1:g}")
    width, height = size or (float("inf"), float("inf"))
    if min(x0, y0) < -TOLERANCE or x1 > width + TOLERANCE or y1 > height + TOLERANCE:
        raise StreamcamError(
            f"{where}: the box {x0:g},{y0:g},{x1:g},{y1:g} is outside of the picture of {width:g}×{height:g}"
        )
    return x0, y0, x1, y1


def _number(text: str | None, where: str) -> float:
    try:
        return float(text or "")
    except ValueError as e:
        raise StreamcamError(f"{where}: expected a number, got {text!r}") from e
