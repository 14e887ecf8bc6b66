"""What is true of clips and pictures: which classes, when, and where. The format is in docs/guides/evaluation.md.

DATA/tabby/a.mp4        a folder per class ...
DATA/tabby/a.npz        ... masks beside the clip: in an npz,
DATA/tabby/b/000012.png ... or as pictures, one for each frame that was drawn,
DATA/truth.csv          ... or boxes, or just classes, for all clips in one table
DATA/classes.yaml       which of the model's classes count as one of the truth's
"""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from streamcam.errors import StreamcamError
from streamcam.heat.localise import Box
from streamcam.render.image_files import read_mask

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})

Mask = npt.NDArray[np.bool_]
Times = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """One thing: its class, and where it is at the times that somebody has drawn; between them, where it is nearest."""

    label: str
    when: Times
    """float64 [T]: seconds, or frames of the clip."""
    in_seconds: bool
    masks: npt.NDArray[np.uint8] | None = None
    """uint8 [T,H,W], 0 or not, over the whole picture at any resolution."""
    boxes: npt.NDArray[np.float64] | None = None
    """float64 [T,4]: x0, y0, x1, y1 in pixels of the clip; an empty one where it is not there."""

    def rows(self, times: Times, frame_times: Times) -> npt.NDArray[np.intp]:
        """The row of each time [S] in seconds, for a clip whose frames have these times."""
        known = self.when
        if not self.in_seconds:
            last = len(frame_times) - 1
            if known.max() > last:
                raise ValueError(f"frame {known.max():.0f} is past the end: the clip has frames 0 to {last}")
            known = frame_times[known.astype(np.intp)]
        return np.asarray(np.abs(known[:, None] - times).argmin(0))

    def mask(self, row: int, *, size: tuple[int, int], picture: tuple[int, int]) -> Mask:
        """Where it is, bool [h,w] for `size` (h, w), in a clip of `picture` (H, W) pixels."""
        height, width = size
        if self.masks is not None:
            drawn = (self.masks[row] > 0).astype(np.float32)
            share = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
            return np.asarray(share >= 0.5 if (share >= 0.5).any() else share > 0, np.bool_)
        assert self.boxes is not None
        scale = np.array([width / picture[1], height / picture[0]] * 2)
        x0, y0, x1, y1 = (round(v) for v in (self.boxes[row] * scale).tolist())
        filled = np.zeros(size, np.bool_)
        if self.boxes[row, 2] > self.boxes[row, 0] and self.boxes[row, 3] > self.boxes[row, 1]:
            filled[max(0, y0) : max(y1, y0 + 1), max(0, x0) : max(x1, x0 + 1)] = True
        return filled


@dataclass(frozen=True, slots=True)
class Item:
    """A clip or a picture with its truth, which is read when it is needed."""

    path: Path
    name: str
    """Its path inside the folder."""
    folder_class: str | None
    """The class of the folder that it lies in."""
    rows: Sequence[Mapping[str, str]] = ()
    """Its lines of truth.csv."""

    @property
    def is_picture(self) -> bool:
        """Whether it has but one frame."""
        return self.path.suffix.lower() in PICTURES

    def truth(self) -> "Truth":
        """Read masks and boxes.

        Raises:
            StreamcamError: a file is not as it should be; the message says which, and what was expected.
        """
        npz, pngs = self.path.with_suffix(".npz"), self.path.with_suffix("")
        things, scene = _from_rows(self.rows)
        if npz.exists():
            drawn, stated = read_npz(npz, default=self.folder_class)
            things, scene = [*things, *drawn], (*scene, *stated)
        if pngs.is_dir():
            things = [*things, *read_pngs(pngs, default=self.folder_class)]
        if not things and not scene and not npz.exists() and self.folder_class is not None:
            scene = (self.folder_class,)
        return Truth(self, tuple(things), scene)


@dataclass(frozen=True)
class Truth:
    """What is true of one clip."""

    item: Item
    things: tuple[Thing, ...]
    scene: tuple[str, ...] = ()
    """Classes that hold of the whole clip without being anywhere in particular."""
    frame_times: Times = field(default_factory=lambda: np.zeros(1))
    """float64 [F]: the time of each frame, in seconds."""
    picture: tuple[int, int] = (1, 1)
    """(height, width) of the clip in pixels."""

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """All its classes."""
        return tuple(dict.fromkeys([*(thing.label for thing in self.things), *self.scene]))

    @cached_property
    def placed(self) -> tuple[str, ...]:
        """The classes whose place is known."""
        return tuple(dict.fromkeys(thing.label for thing in self.things))

    def masks(self, label: str, times: Times, size: tuple[int, int]) -> list[npt.NDArray[np.bool_]]:
        """Where each thing of a class is at some times: a bool [S,h,w] for each."""
        found = []
        for thing in self.things:
            if thing.label == label:
                rows = self._rows(thing, times)
                drawn = {row: thing.mask(row, size=size, picture=self.picture) for row in set(rows.tolist())}
                found.append(np.stack([drawn[row] for row in rows.tolist()]))
        return found

    def present(self, label: str, times: Times) -> Mask:
        """At which of the times [S] a class is there."""
        if label in self.scene:
            return np.ones(len(times), np.bool_)
        masks = self.masks(label, times, (16, 16))
        return np.asarray(np.any([mask.any((1, 2)) for mask in masks], axis=0), np.bool_)

    def _rows(self, thing: Thing, times: Times) -> npt.NDArray[np.intp]:
        try:
            return thing.rows(times, self.frame_times)
        except ValueError as e:
            raise StreamcamError(f"the truth of {self.item.path} does not fit it: {e}") from e


def box_of(mask: Mask) -> Box | None:
    """The smallest box around a mask [h,w]; None where it is empty."""
    xs, ys = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return Box(int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1) if len(xs) else None


def write_truth(
    clip: Path,
    masks: npt.ArrayLike,
    labels: Sequence[str],
    *,
    pts_s: npt.ArrayLike | None = None,
    scene: Sequence[str] = (),
) -> Path:
    """Write the truth of a clip beside it, as an npz.

    Args:
        clip: the clip's path; the truth gets its name.
        masks: bool or uint8 [n,T,H,W], of n things at T times, over the whole picture at any resolution.
        labels: n names, several things may share one.
        pts_s: [T] in seconds; by default the clip's first T frames.
        scene: classes that hold of the whole clip without being anywhere in particular.

    Returns:
        The path of the npz.

    Raises:
        ValueError: masks, labels and times do not fit together.
    """
    drawn = np.asarray(masks) > 0
    times = None if pts_s is None else np.asarray(pts_s, np.float64)
    if drawn.ndim != 4 or len(drawn) != len(labels) or (times is not None and times.shape != drawn.shape[1:2]):
        given = "no" if times is None else list(times.shape)
        shapes = f"masks {list(drawn.shape)}, {len(labels)} labels and {given} times"
        raise ValueError(f"expected masks [n,T,H,W], n labels and T times, got {shapes}")
    target = clip.with_suffix(".npz")
    arrays = {"masks": drawn, "labels": np.array(labels, "U"), "scene": np.array(scene, "U")}
    np.savez_compressed(target, allow_pickle=False, **arrays, **({} if times is None else {"pts_s": times}))
    return target


def read_npz(path: Path, *, default: str | None) -> tuple[list[Thing], tuple[str, ...]]:
    """The things, and the classes without a place, in an npz.

    Args:
        path: it holds `masks` bool or uint8 [T,H,W] or [n,T,H,W] and, beside them, `labels` [n], the times `pts_s` [T]
            or `frames` [T], and `scene`, all of which may be left out.
        default: the class of things without labels.

    Raises:
        StreamcamError: it cannot be read, or something in it has another shape.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as e:
        raise StreamcamError(f"cannot read {path}: expected an npz with masks (no pickled objects)") from e
    masks = arrays.get("masks", np.zeros(0))
    masks = masks[None] if masks.ndim == 3 else masks
    if masks.ndim != 4 or masks.dtype not in (np.bool_, np.uint8) or (masks.shape[0] and not masks[0].size):
        got = f"{masks.dtype}{list(masks.shape)}" if "masks" in arrays else f"only {', '.join(arrays) or 'nothing'}"
        raise StreamcamError(f"{path}: expected masks bool or uint8 [T,H,W] or [n,T,H,W], got {got}")
    labels = [str(v) for v in arrays["labels"].ravel()] if "labels" in arrays else [default or ""] * len(masks)
    if len(labels) != len(masks) or not all(labels):
        raise StreamcamError(f"{path}: expected a label for each of {len(masks)} things, got {labels}")
    in_seconds = "pts_s" in arrays
    when = np.asarray(arrays.get("pts_s", arrays.get("frames", np.arange(masks.shape[1]))), np.float64)
    if when.shape != masks.shape[1:2] or not np.isfinite(when).all() or (not in_seconds and (when < 0).any()):
        raise StreamcamError(f"{path}: expected {masks.shape[1]} times, one for each mask, got {list(when.shape)}")
    scene = tuple(str(v) for v in arrays.get("scene", np.zeros(0)).ravel())
    drawn = masks.view(np.uint8) if masks.dtype == np.bool_ else masks
    return [Thing(label, when, in_seconds, masks=m) for label, m in zip(labels, drawn, strict=True)], scene


def read_pngs(folder: Path, *, default: str | None) -> list[Thing]:
    """The things in a folder of masks 000012.png, named for their frame; value v is line v of labels.txt.

    Without labels.txt everything that is not 0 is one thing of the class `default`.

    Raises:
        StreamcamError: there are no masks in it, one cannot be read, or a value has no label.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".png")
    wrong = next((p for p in paths if not p.stem.isdecimal()), None)
    if not paths or wrong is not None:
        raise StreamcamError(f"{wrong or folder}: expected masks named for their frame, such as 000012.png")
    names = folder / "labels.txt"
    labels = [line.strip() for line in _text(names).splitlines() if line.strip()] if names.exists() else []
    if not labels and default is None:
        raise StreamcamError(f"{folder}: expected labels.txt, line v of which names the things with value v")
    pictures = [read_mask(path) for path in paths]
    for path, picture in zip(paths, pictures, strict=True):
        if picture.shape != pictures[0].shape:
            raise StreamcamError(f"{path}: expected a picture as large as the folder's first")
        if labels and picture.max() > len(labels):
            raise StreamcamError(
                f"{path}: expected values 0 to {len(labels)}, as labels.txt has lines, got {picture.max()}"
            )
    stack = np.stack(pictures)
    when = np.array([int(p.stem) for p in paths], np.float64)
    if not labels:
        return [Thing(str(default), when, False, masks=stack)]
    return [Thing(label, when, False, masks=(stack == v).view(np.uint8)) for v, label in enumerate(labels, start=1)]


def _from_rows(rows: Sequence[Mapping[str, str]]) -> tuple[list[Thing], tuple[str, ...]]:
    """The things with boxes, and the classes without, in the lines of truth.csv that speak of one clip."""
    drawn: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    scene = [row["class"] for row in rows if not row.get("x0")]
    for row in rows:
        if row.get("x0"):
            drawn.setdefault((row["class"], row.get("thing") or ""), []).append(row)
    in_seconds = any(row.get("time") for row in rows)
    # Where somebody has drawn one thing and not another, the other is not there.
    when = np.array(sorted({_when(row) for row in rows if row.get("x0")}), np.float64)
    things = []
    for (label, _), boxes in drawn.items():
        at = np.zeros((len(when), 4))
        for row in boxes:
            at[int(np.searchsorted(when, _when(row)))] = [float(row[key]) for key in ("x0", "y0", "x1", "y1")]
        things.append(Thing(label, when, in_seconds, boxes=at))
    return things, tuple(dict.fromkeys(scene))


def _when(row: Mapping[str, str]) -> float:
    return float(row.get("time") or row.get("frame") or 0)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise StreamcamError(f"cannot read {path}: expected text in UTF-8") from e
