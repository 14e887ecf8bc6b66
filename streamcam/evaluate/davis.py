"""DAVIS (Pont-Tuset et al., 2017): a folder of masks for each sequence, and one of pictures, or a video.

```
DATA/Annotations/480p/bear/00000.png    pixel value v is thing v; or 255 is the only thing
DATA/JPEGImages/480p/bear/00000.jpg     24 a second; or DATA/bear.mp4
DATA/davis_semantics.json               {"bear": {"1": "bear"}}: the class of each thing (optional)
```

Without the last file, the class of all things is the name of the sequence.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from streamcam.errors import StreamcamError
from streamcam.evaluate.annotations import mask_paths, read_values
from streamcam.evaluate.objects import ObjectTruth
from streamcam.evaluate.truth import Item
from streamcam.files import VIDEOS

MASKS, PICTURES, SEMANTICS = "Annotations", "JPEGImages", "davis_semantics.json"
RESOLUTIONS = ("480p", "Full-Resolution", ".")
VOID = 255
"""Pixels that belong to no thing, where other values name the things."""


def is_davis(data: Path) -> bool:
    """Return whether a folder has the layout of DAVIS: masks below `Annotations`."""
    return any(any(data.glob(f"{MASKS}/{resolution}/*/*.png")) for resolution in RESOLUTIONS)


def davis_items(data: Path) -> list[Item]:
    """Find the sequences of DAVIS, sorted by name.

    Raises:
        StreamcamError: a sequence has neither pictures nor a video, or davis_semantics.json cannot be read.
    """
    resolution = next(r for r in RESOLUTIONS if any(data.glob(f"{MASKS}/{r}/*/*.png")))
    classes = _read_classes(data / SEMANTICS)
    items = []
    for masks in sorted(path for path in (data / MASKS / resolution).iterdir() if path.is_dir()):
        clip = _clip_of(masks.name, data, data / PICTURES / resolution)
        objects = partial(_read_objects, masks, classes.get(masks.name, {}))
        items.append(Item(clip, masks.name, None, read_objects=objects))
    return items


def _read_classes(path: Path) -> Mapping[str, Mapping[str, str]]:
    """Return sequence → number of a thing → its class; empty without the file."""
    if not path.exists():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, str]])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise StreamcamError(f"cannot read {path}: {e}") from e


def _clip_of(name: str, data: Path, pictures: Path) -> Path:
    """Return a sequence's folder of pictures or, without one, its video."""
    if (pictures / name).is_dir():
        return pictures / name
    for folder in (data, pictures):
        for path in sorted(folder.glob("*")):
            if path.stem == name and path.suffix.lower() in VIDEOS:
                return path
    raise StreamcamError(f"no pictures of {name}: expected {pictures / name}/00000.jpg or {data / name}.mp4")


def _read_objects(folder: Path, classes: Mapping[str, str]) -> list[ObjectTruth]:
    """Read the things of a sequence: each pixel value is one."""
    paths = mask_paths(folder)
    values = read_values(paths, ())
    times = np.array([int(path.stem) for path in paths], np.float64)
    things = [int(v) for v in np.unique(values) if v]
    things = [v for v in things if v != VOID] or things
    missing = [v for v in things if classes and str(v) not in classes]
    if missing:
        raise StreamcamError(f"{folder}: {SEMANTICS} has no class for value {missing[0]}")
    return [
        ObjectTruth(classes.get(str(v), folder.name), times, False, masks=(values == v).view(np.uint8)) for v in things
    ]
