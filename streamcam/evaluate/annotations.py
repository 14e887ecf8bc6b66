"""Read the objects of a clip from an npz, from pictures of masks, or from lines of truth.csv."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streamcam.errors import StreamcamError
from streamcam.evaluate.objects import ObjectTruth
from streamcam.render.image_files import read_mask


def read_npz(path: Path, *, default: str | None) -> tuple[list[ObjectTruth], tuple[str, ...]]:
    """Read an npz: its objects, and its classes without a place.

    Args:
        path: the npz. It holds `masks`, bool or uint8 [T,H,W] or [n,T,H,W]. It may hold `labels` [n], the times as
            `pts_s` [T] or `frames` [T], and `scene`.
        default: the class of objects without labels.

    Raises:
        StreamcamError: it cannot be read, or an array has another shape.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as e:
        raise StreamcamError(f"cannot read {path}: expected an npz with masks (no pickled objects)") from e
    masks = _npz_masks(path, arrays)
    labels = [str(v) for v in arrays["labels"].ravel()] if "labels" in arrays else [default or ""] * len(masks)
    if len(labels) != len(masks) or not all(labels):
        raise StreamcamError(f"{path}: expected a label for each of {len(masks)} things, got {labels}")
    in_seconds = "pts_s" in arrays
    times = np.asarray(arrays.get("pts_s", arrays.get("frames", np.arange(masks.shape[1]))), np.float64)
    if times.shape != masks.shape[1:2] or not np.isfinite(times).all() or (not in_seconds and (times < 0).any()):
        raise StreamcamError(f"{path}: expected {masks.shape[1]} times, one for each mask, got {list(times.shape)}")
    scene = tuple(str(v) for v in arrays.get("scene", np.zeros(0)).ravel())
    return [ObjectTruth(label, times, in_seconds, masks=m) for label, m in zip(labels, masks, strict=True)], scene


def _npz_masks(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.uint8]:
    """Return the masks of an npz as uint8 [n,T,H,W]; an npz without `masks` is an error."""
    masks = arrays.get("masks", np.zeros(0))
    masks = masks[None] if masks.ndim == 3 else masks
    if masks.ndim != 4 or masks.dtype not in (np.bool_, np.uint8) or (masks.shape[0] and not masks[0].size):
        got = f"{masks.dtype}{list(masks.shape)}" if "masks" in arrays else f"only {', '.join(arrays) or 'nothing'}"
        raise StreamcamError(f"{path}: expected masks bool or uint8 [T,H,W] or [n,T,H,W], got {got}")
    return masks.view(np.uint8)


def read_pngs(folder: Path, *, default: str | None) -> list[ObjectTruth]:
    """Read a folder of masks, such as 000012.png, each named for its frame.

    Pixel value v belongs to the object that line v of labels.txt names. Without labels.txt, everything that is not 0
    is one object of the class `default`.

    Raises:
        StreamcamError: there are no masks, one cannot be read, or a value has no label.
    """
    paths = mask_paths(folder)
    labels_file = folder / "labels.txt"
    labels = [line.strip() for line in _text(labels_file).splitlines() if line.strip()] if labels_file.exists() else []
    if not labels and default is None:
        raise StreamcamError(f"{folder}: expected labels.txt, line v of which names the things with value v")
    values = read_values(paths, labels)
    times = np.array([int(p.stem) for p in paths], np.float64)
    if not labels:
        return [ObjectTruth(str(default), times, False, masks=values)]
    return [
        ObjectTruth(label, times, False, masks=(values == v).view(np.uint8)) for v, label in enumerate(labels, start=1)
    ]


def mask_paths(folder: Path) -> list[Path]:
    """Return the masks in a folder, sorted by name, each of which is the number of its frame.

    Raises:
        StreamcamError: there are none, or one has another name.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".png")
    misnamed = next((p for p in paths if not p.stem.isdecimal()), None)
    if not paths or misnamed is not None:
        raise StreamcamError(f"{misnamed or folder}: expected masks named for their frame, such as 000012.png")
    return paths


def read_values(paths: Sequence[Path], labels: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Read masks of the same size: uint8 [T,H,W]. With labels, values go up to their number.

    Raises:
        StreamcamError: one cannot be read, has another size, or a value without a label.
    """
    masks = [read_mask(path) for path in paths]
    for path, mask in zip(paths, masks, strict=True):
        if mask.shape != masks[0].shape:
            raise StreamcamError(f"{path}: expected a picture as large as the folder's first")
        if labels and mask.max() > len(labels):
            raise StreamcamError(
                f"{path}: expected values 0 to {len(labels)}, as labels.txt has lines, got {mask.max()}"
            )
    return np.stack(masks)


def read_rows(rows: Sequence[Mapping[str, str]]) -> tuple[list[ObjectTruth], tuple[str, ...]]:
    """Read one clip's lines of truth.csv: its objects with boxes, and its classes without a place."""
    scene = [row["class"] for row in rows if not row.get("x0")]
    with_box = [row for row in rows if row.get("x0")]
    rows_of: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    for row in with_box:
        rows_of.setdefault((row["class"], row.get("thing") or ""), []).append(row)
    in_seconds = any(row.get("time") for row in rows)
    # All objects share the annotated times: an object without a box where another has one is absent then.
    times = np.array(sorted({_time_of(row) for row in with_box}), np.float64)
    objects = []
    for (label, _), object_rows in rows_of.items():
        boxes = np.zeros((len(times), 4))
        for row in object_rows:
            boxes[int(np.searchsorted(times, _time_of(row)))] = [float(row[key]) for key in ("x0", "y0", "x1", "y1")]
        objects.append(ObjectTruth(label, times, in_seconds, boxes=boxes))
    return objects, tuple(dict.fromkeys(scene))


def _time_of(row: Mapping[str, str]) -> float:
    """Return a line's time in seconds or, without one, its frame."""
    return float(row.get("time") or row.get("frame") or 0)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise StreamcamError(f"cannot read {path}: expected text in UTF-8") from e
