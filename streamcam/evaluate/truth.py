"""The truth of clips and pictures: what is present, when, and where. docs/guides/evaluation.md has the format.

```
DATA/tabby/a.mp4         a folder for each class
DATA/tabby/a.npz         masks beside the clip, as npz
DATA/tabby/b/000012.png  or as pictures, one for each annotated frame
DATA/truth.csv           boxes, or classes alone, for all clips in one table
DATA/classes.yaml        the model's classes that count as a class of the truth
```
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamcam.errors import StreamcamError
from streamcam.evaluate.annotations import read_npz, read_pngs, read_rows
from streamcam.evaluate.objects import Mask, ObjectTruth, ReadObjects, Times

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
"""Suffixes of the pictures that a data set may hold."""

PICTURES_FPS = 24
"""How many pictures a second a folder of them has, as those of DAVIS."""


@dataclass(frozen=True, slots=True)
class Item:
    """A clip or a picture of a data set. Its truth is read when `truth` is called."""

    path: Path
    name: str
    """The path inside the data set."""
    folder_class: str | None
    """The name of the class's folder that it lies in; None outside of any."""
    rows: Sequence[Mapping[str, str]] = ()
    """Its lines of truth.csv."""
    read_objects: ReadObjects | None = None
    """Reads the objects that a layout such as DAVIS's has elsewhere; None where there is no such layout."""

    @property
    def uri(self) -> str:
        """Return what `open_source` takes for the clip: a file, or a folder of numbered pictures."""
        path = self.path.resolve()
        return f"frames:{PICTURES_FPS}:{path}" if path.is_dir() else f"file://{path}"

    @property
    def is_picture(self) -> bool:
        """Return whether it is a picture, which has one frame."""
        return self.path.suffix.lower() in PICTURES

    def truth(self) -> "Truth":
        """Read the masks and boxes.

        Without any, and without lines in truth.csv, the class of the folder holds for the whole clip.

        Raises:
            StreamcamError: a file is malformed; the message says which, and what was expected.
        """
        npz, pngs = self.path.with_suffix(".npz"), self.path.with_suffix("")
        objects, scene = read_rows(self.rows)
        if npz.exists():
            more_objects, more_scene = read_npz(npz, default=self.folder_class)
            objects, scene = [*objects, *more_objects], (*scene, *more_scene)
        if self.read_objects is not None:
            objects = [*objects, *self.read_objects()]
        if pngs.is_dir() and pngs != self.path:
            objects = [*objects, *read_pngs(pngs, default=self.folder_class)]
        has_others = npz.exists() or self.read_objects is not None
        if not objects and not scene and not has_others and self.folder_class is not None:
            scene = (self.folder_class,)
        return Truth(self, tuple(objects), scene)


@dataclass(frozen=True)
class Truth:
    """The truth of one clip.

    `Item.truth` reads it without decoding the clip; `windows.with_frame_times` fills in the last two fields.
    """

    item: Item
    objects: tuple[ObjectTruth, ...]
    scene: tuple[str, ...] = ()
    """Classes that hold for the whole clip, without a place."""
    frame_times: Times = field(default_factory=lambda: np.zeros(1))
    """float64 [F]: the time of each frame, in seconds."""
    picture: tuple[int, int] = (1, 1)
    """(height, width) of the clip in pixels."""

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Return all classes of the clip, those of objects first."""
        return tuple(dict.fromkeys([*(annotated.label for annotated in self.objects), *self.scene]))

    @cached_property
    def placed(self) -> tuple[str, ...]:
        """Return the classes of objects: those whose place is known."""
        return tuple(dict.fromkeys(annotated.label for annotated in self.objects))

    def masks(self, label: str, times: Times, size: tuple[int, int]) -> list[Mask]:
        """Return the masks of each object of a class.

        Args:
            label: the class.
            times: float64 [S], in seconds.
            size: (h, w) of a mask.

        Returns:
            bool [S,h,w] for each object.

        Raises:
            StreamcamError: a frame is annotated that the clip does not have.
        """
        masks = []
        for annotated in self.objects:
            if annotated.label == label:
                rows = self._nearest_rows(annotated, times).tolist()
                # Many times may share an annotation: each is drawn once.
                drawn = {row: annotated.mask(row, size=size, picture=self.picture) for row in set(rows)}
                masks.append(np.stack([drawn[row] for row in rows]))
        return masks

    def present(self, label: str, times: Times) -> Mask:
        """Return whether a class is present at each time, bool [S]."""
        if label in self.scene:
            return np.ones(len(times), np.bool_)
        masks = self.masks(label, times, (16, 16))  # coarse: only whether anything is set counts
        return np.asarray(np.any([mask.any((1, 2)) for mask in masks], axis=0), np.bool_)

    def _nearest_rows(self, annotated: ObjectTruth, times: Times) -> npt.NDArray[np.intp]:
        try:
            return annotated.nearest_rows(times, self.frame_times)
        except ValueError as e:
            raise StreamcamError(f"the truth of {self.item.path} does not fit it: {e}") from e


def write_truth(
    clip: Path,
    masks: npt.ArrayLike,
    labels: Sequence[str],
    *,
    pts_s: npt.ArrayLike | None = None,
    scene: Sequence[str] = (),
) -> Path:
    """Write the truth of a clip as an npz beside it.

    Args:
        clip: the clip's path. The npz gets the same name.
        masks: bool or uint8 [n,T,H,W], of n objects at T times. A mask covers the whole picture, at any resolution.
        labels: n names; objects may share one.
        pts_s: [T], the times in seconds; by default the clip's first T frames.
        scene: classes that hold for the whole clip, without a place.

    Returns:
        The path of the npz.

    Raises:
        ValueError: the shapes of masks, labels and times do not fit together.
    """
    binary = np.asarray(masks) > 0
    times = None if pts_s is None else np.asarray(pts_s, np.float64)
    if binary.ndim != 4 or len(binary) != len(labels) or (times is not None and times.shape != binary.shape[1:2]):
        time_shape = "no" if times is None else list(times.shape)
        shapes = f"masks {list(binary.shape)}, {len(labels)} labels and {time_shape} times"
        raise ValueError(f"expected masks [n,T,H,W], n labels and T times, got {shapes}")
    target = clip.with_suffix(".npz")
    arrays = {"masks": binary, "labels": np.array(labels, "U"), "scene": np.array(scene, "U")}
    np.savez_compressed(target, allow_pickle=False, **arrays, **({} if times is None else {"pts_s": times}))
    return target
