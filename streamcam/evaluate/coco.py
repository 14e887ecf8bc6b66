"""COCO's JSON (https://cocodataset.org/#format-data), and its forms for videos: masks and boxes of things.

```
{"images": [{"id": 1, "file_name": "c.jpg", "width": 640, "height": 480}, …],            a picture
 "images": [{"id": 2, "file_name": "", …, "video_id": 7, "frame_id": 0}, …],             or a frame of a clip, from 0
 "videos": [{"id": 7, "file_name": "d.mp4"}, …],
 "annotations": [{"image_id": 1, "category_id": 3, "segmentation": MASK, "track_id": 5}, …],
 "annotations": [{"video_id": 7, "category_id": 3, "segmentations": [MASK or null, …]}, …],   or one for all frames
 "categories": [{"id": 3, "name": "cat"}, …]}
```
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, NamedTuple

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from streamcam.errors import StreamcamError
from streamcam.evaluate.objects import ObjectTruth, ReadObjects

Array = npt.NDArray[np.uint8]
Side = Annotated[int, msgspec.Meta(ge=1, le=65_536)]
"""Pixels."""

TOLERANCE = 1.0
"""A box or polygon may end this many pixels outside of the picture: people draw to its edge."""


class Rle(msgspec.Struct):
    """A mask: how many pixels are 0, then 1, then 0 and so on, column by column."""

    size: tuple[Side, Side]
    """Height and width."""
    counts: str | list[int]


Segmentation = Rle | list[list[float]] | None
"""RLE, or polygons x0, y0, x1, y1, …; None where there is none."""


class Image(msgspec.Struct):
    """A picture, or a frame of a clip."""

    id: int
    width: Side
    height: Side
    file_name: str = ""
    video_id: int | None = None
    frame_id: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] | None = None


class Video(msgspec.Struct):
    """A clip."""

    id: int
    file_name: str = ""
    name: str = ""


class Annotation(msgspec.Struct):
    """A thing in a picture, or in all frames of a clip."""

    category_id: int
    image_id: int | None = None
    video_id: int | None = None
    bbox: list[float] | None = None
    """x, y, width, height in pixels."""
    segmentation: Segmentation = None
    segmentations: list[Rle | None] | None = None
    track_id: int | None = None
    instance_id: int | None = None


class Category(msgspec.Struct):
    """A class."""

    id: int
    name: str


class Coco(msgspec.Struct):
    """The whole file."""

    annotations: list[Annotation]
    categories: list[Category]
    images: list[Image] = []
    videos: list[Video] = []


class Head(msgspec.Struct):
    """What tells a file of COCO from other JSON."""

    annotations: list[msgspec.Raw]
    categories: list[msgspec.Raw]


class Drawn(NamedTuple):
    """A thing in one frame; its mask is drawn when it is needed."""

    frame: int
    mask: partial[Array]


def is_coco(path: Path) -> bool:
    """Return whether a file is JSON of COCO."""
    if path.suffix.lower() != ".json":
        return False
    try:
        msgspec.json.decode(path.read_bytes(), type=Head)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return True


def read_coco(path: Path, names: Sequence[str]) -> dict[str, ReadObjects]:
    """Read a file: name of each clip or picture in it → a function that draws its things.

    Args:
        path: JSON of COCO.
        names: the clips and pictures of the data set.

    Raises:
        StreamcamError: it is malformed, or names a clip, class or picture that there is not; the message says where.
    """
    try:
        content = msgspec.json.decode(path.read_bytes(), type=Coco)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise StreamcamError(f"cannot read {path}: {e}") from e
    reader = _Reader(path, content, names)
    for number, annotation in enumerate(content.annotations, start=1):
        reader.add(annotation, f"{path}, annotation {number}")
    return reader.objects()


class _Reader:
    """Collects the things of each clip, frame by frame."""

    def __init__(self, path: Path, content: Coco, names: Sequence[str]) -> None:
        self._path, self._names = path, names
        self._classes = {category.id: category.name for category in content.categories}
        self._images = {image.id: image for image in content.images}
        self._videos = {video.id: video for video in content.videos}
        self._frames: dict[str, set[int]] = {}
        """The frames of each clip that are annotated, also those without anything."""
        self._things: dict[tuple[str, str, str], list[Drawn]] = {}
        """Clip, class and thing → where it is."""
        for image in content.images:
            self._frames.setdefault(self._clip_of(image), set()).add(image.frame_id or 0)

    def add(self, annotation: Annotation, where: str) -> None:
        label = self._classes.get(annotation.category_id)
        if label is None:
            raise StreamcamError(f"{where}: no category has the id {annotation.category_id}")
        tracked = annotation.track_id if annotation.track_id is not None else annotation.instance_id
        thing = where if tracked is None else str(tracked)
        for clip, drawn in self._drawn(annotation, where):
            self._frames.setdefault(clip, set()).add(drawn.frame)
            self._things.setdefault((clip, label, thing), []).append(drawn)

    def _drawn(self, annotation: Annotation, where: str) -> list[tuple[str, Drawn]]:
        if annotation.segmentations is not None and annotation.video_id in self._videos:
            clip = self._name_of(self._videos[annotation.video_id], where)
            self._frames.setdefault(clip, set()).update(range(len(annotation.segmentations)))
            return [
                (clip, Drawn(frame, partial(_decode, rle, where)))
                for frame, rle in enumerate(annotation.segmentations)
                if rle is not None
            ]
        image = self._images.get(annotation.image_id) if annotation.image_id is not None else None
        if image is None:
            raise StreamcamError(
                f"{where}: no image has the id {annotation.image_id}, and no video {annotation.video_id}"
            )
        return [(self._clip_of(image), Drawn(image.frame_id or 0, partial(_draw, annotation, image, where)))]

    def _clip_of(self, image: Image) -> str:
        where = f"{self._path}, image {image.id}"
        if image.video_id is None:
            return self._named(image.file_name, where)
        if image.frame_id is None:
            raise StreamcamError(f"{where}: expected frame_id, the number of the frame from 0")
        if image.video_id not in self._videos:
            raise StreamcamError(f"{where}: no video has the id {image.video_id}")
        return self._name_of(self._videos[image.video_id], where)

    def _name_of(self, video: Video, where: str) -> str:
        return self._named(video.file_name or video.name, where)

    def _named(self, file_name: str, where: str) -> str:
        """Return the clip with this path or, where there is none, with this name."""
        plain = PurePosixPath(file_name).name
        same = [name for name in self._names if name == file_name] or [
            name for name in self._names if PurePosixPath(name).name == plain or PurePosixPath(name).stem == plain
        ]
        if len(same) != 1:
            raise StreamcamError(
                f"{where}: {'no such clip or picture' if not same else 'several are called'}: {file_name}"
            )
        return same[0]

    def objects(self) -> dict[str, ReadObjects]:
        things: dict[str, list[tuple[str, list[Drawn]]]] = {}
        for (clip, label, _), drawn in self._things.items():
            things.setdefault(clip, []).append((label, drawn))
        return {
            clip: partial(_objects, f"{self._path}, {clip}", sorted(frames), things.get(clip, []))
            for clip, frames in self._frames.items()
        }


def _objects(where: str, frames: Sequence[int], things: Sequence[tuple[str, Sequence[Drawn]]]) -> list[ObjectTruth]:
    """Draw the things of a clip; in frames without a mask, a thing is absent."""
    objects = []
    for label, drawn in things:
        masks = {at.frame: at.mask() for at in drawn}
        if len({mask.shape for mask in masks.values()}) > 1:
            raise StreamcamError(f"{where}: the masks of a thing ({label}) differ in size")
        empty = np.zeros_like(next(iter(masks.values())))
        stacked = np.stack([masks.get(frame, empty) for frame in frames])
        objects.append(ObjectTruth(label, np.array(frames, np.float64), False, masks=stacked))
    return objects


def _draw(annotation: Annotation, image: Image, where: str) -> Array:
    """Draw a mask, uint8 [H,W]: of RLE or polygons or, without them, of the box."""
    if isinstance(annotation.segmentation, Rle):
        return _decode(annotation.segmentation, where)
    polygons = annotation.segmentation or _box_as_polygon(annotation.bbox, image, where)
    mask = np.zeros((image.height, image.width), np.uint8)
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise StreamcamError(
                f"{where}: expected a polygon of at least three points x, y, got {len(polygon)} numbers"
            )
        points = np.array(polygon).reshape(-1, 2)
        if (points < -TOLERANCE).any() or (points > np.array([image.width, image.height]) + TOLERANCE).any():
            raise StreamcamError(f"{where}: a polygon is outside of the picture of {image.width}×{image.height}")
        # Pixel (0, 0) goes from 0 to 1, and its centre is what OpenCV calls 0.
        cv2.fillPoly(mask, [np.round(points - 0.5).astype(np.int32)], 1)
    return mask


def _box_as_polygon(bbox: Sequence[float] | None, image: Image, where: str) -> list[list[float]]:
    if bbox is None or len(bbox) != 4 or min(bbox[2:]) <= 0:
        raise StreamcamError(f"{where}: expected a segmentation, or bbox as x, y, width, height, got {bbox}")
    x, y, width, height = bbox
    if min(x, y) < -TOLERANCE or x + width > image.width + TOLERANCE or y + height > image.height + TOLERANCE:
        raise StreamcamError(f"{where}: the box {bbox} is outside of the picture of {image.width}×{image.height}")
    right, bottom = x + width - 1, y + height - 1
    return [[x + 0.5, y + 0.5, right + 0.5, y + 0.5, right + 0.5, bottom + 0.5, x + 0.5, bottom + 0.5]]


def _decode(rle: Rle, where: str) -> Array:
    """Decode RLE to a mask, uint8 [H,W].

    Raises:
        StreamcamError: the counts do not add up to the size.
    """
    counts = _decompress(rle.counts, where) if isinstance(rle.counts, str) else rle.counts
    height, width = rle.size
    if min(counts, default=0) < 0 or sum(counts) != height * width:
        raise StreamcamError(f"{where}: RLE of {sum(counts)} pixels for a size of {height}×{width}")
    values = np.arange(len(counts)) % 2
    return np.repeat(values.astype(np.uint8), counts).reshape(width, height).T.copy()


def _decompress(text: str, where: str) -> list[int]:
    """Return the counts of a compressed RLE.

    Characters from 0 (48) on have 5 bits of a number each, the lowest first; the sixth says that more follow. From the
    fourth number on, it is the difference from the last but one.
    """
    counts: list[int] = []
    number = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise StreamcamError(f"{where}: {character!r} cannot be part of RLE")
        number |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:  # the highest bit is the sign
            number -= 1 << shift
        counts.append(number + counts[-2] if len(counts) > 2 else number)
        number = shift = 0
    return counts
