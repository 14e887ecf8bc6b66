"""The boxes of CVAT's XML for videos, as lines of truth.csv have them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath

from streamcam.cvat import Track, read_cvat
from streamcam.errors import StreamcamError
from streamcam.evaluate.annotations import read_rows
from streamcam.evaluate.objects import ReadObjects

ABSENT = (0.0, 0.0, 0.0, 0.0)
"""An empty box: the thing is not in the picture."""


def read_cvat_objects(path: Path, names: Sequence[str]) -> dict[str, ReadObjects]:
    """Read a file: the name of its clip → a function that returns the things in it.

    Args:
        path: XML of CVAT.
        names: the clips of the data set.

    Raises:
        StreamcamError: there is no such clip, or a shape is no upright box; the message names the track and the frame.
    """
    video = read_cvat(path)
    name = next((name for name in names if PurePosixPath(name).name == PurePosixPath(video.source).name), None)
    if name is None:
        raise StreamcamError(f"{path}: no such clip: {video.source}")
    rows = [_row(track, frame, box) for track in video.tracks for frame, box in _boxes(track, path)]
    rows += [_row(video.tracks[0], frame, ABSENT) for frame in _empty_frames(video.tracks)]
    return {name: lambda: read_rows(rows)[0]}


def _boxes(track: Track, path: Path) -> Iterator[tuple[int, Sequence[float]]]:
    """Yield the frames of a track, each with its box."""
    for shape in track.shapes:
        if shape.box is None and not shape.outside:
            raise StreamcamError(f"{path}, track {track.name}, frame {shape.frame}: only upright boxes are read")
        yield shape.frame, shape.box or ABSENT


def _empty_frames(tracks: Sequence[Track]) -> Iterator[int]:
    """Yield the last frame of each span without anything: the nearest annotation would be that of the frame after."""
    shapes = [shape for track in tracks for shape in track.shapes]
    visible = {shape.frame for shape in shapes if not shape.outside}
    for before, frame in pairwise([-1, *sorted({shape.frame for shape in shapes})]):
        if frame in visible and before not in visible and frame - 1 > before:
            yield frame - 1


def _row(track: Track, frame: int, box: Sequence[float]) -> Mapping[str, str]:
    sides = dict(zip(("x0", "y0", "x1", "y1"), map(str, box), strict=True))
    return {"class": track.label, "thing": track.name, "frame": str(frame), **sides}
