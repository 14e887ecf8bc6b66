"""Picture files: which are meant, what is in them, and how they are written."""

import glob
import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import PIL.Image

from streamcam.errors import StreamcamError
from streamcam.files import complete_or_absent
from streamcam.records import Image

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".ppm", ".pgm"})
"""What is taken for a picture in a folder."""


def expand(names: Sequence[str]) -> list[Path]:
    """Files, folders (their own pictures, by suffix) and patterns such as `photos/**/*.jpg` → files, each once.

    Raises:
        StreamcamError: a name stands for nothing.
    """
    found: list[Path] = []
    for name in names:
        paths = _paths(name)
        if not paths:
            what = "no pictures in" if Path(name).is_dir() else "no such file:"
            raise StreamcamError(f"{what} {name[:200]}")
        found += paths
    return list(dict.fromkeys(found))


def _paths(name: str) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    if path.exists():
        return [path]
    matches = glob.glob(name, recursive=True)  # noqa: PTH207, for Path.glob takes no absolute patterns
    return sorted(path for match in matches if (path := Path(match)).is_file())


def read_picture(path: Path) -> Image | None:
    """uint8 [H,W,3], RGB, turned as its EXIF says; None where it cannot be read, or has over 179 million pixels.

    Grey and 16-bit ones are converted.
    """
    if not _is_sane(path):
        return None
    try:
        decoded = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR_RGB)
    except (OSError, cv2.error):  # no permission; empty, or too large
        return None
    return None if decoded is None else np.asarray(decoded, np.uint8)


def _is_sane(path: Path) -> bool:
    """Whether its header is a picture's, and not that of a decompression bomb, as Pillow judges; nothing is decoded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
        try:
            PIL.Image.open(path).close()
        except Exception:  # whatever a hostile file makes of Pillow's many readers
            return False
    return True


def save_picture(path: Path, image: Image) -> None:
    """Write uint8 [H,W,3], RGB, as the suffix says; a jpg in good quality.

    Raises:
        StreamcamError: the system would not write it.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, 92] if path.suffix.lower() in (".jpg", ".jpeg") else []
    content = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()
    with complete_or_absent(path) as partial:
        partial.write_bytes(content)
