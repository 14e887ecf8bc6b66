"""Picture files: finding them by name, reading and writing them."""

import glob
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

from streamcam.errors import StreamcamError
from streamcam.files import complete_or_absent
from streamcam.records import Image
from streamcam.render.image_decoding import UnfitError, decode

SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif", ".avif"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".heic", ".heif"),
    }
)
"""The suffixes of pictures in a folder. HEIC cannot be read, but is among them: its error says so, where pictures left
out would go unnoticed."""

FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's readers that may open a stranger's file. Others start programs (EPS), or accept any file as theirs (TGA)."""

MAX_PIXELS = 179_000_000
"""About what Pillow takes for a decompression bomb; it refuses before anything is decoded."""

HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def expand(names: Sequence[str]) -> list[Path]:
    """Turn files, folders and patterns such as `photos/**/*.jpg` into a list of files, each once.

    A folder stands for the pictures in it, by suffix, without those in its folders.

    Raises:
        StreamcamError: a name stands for no file.
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


def save_picture(path: Path, image: Image) -> None:
    """Write uint8 [H,W,3], RGB, in the format of the suffix; JPEG in good quality.

    Raises:
        StreamcamError: the file cannot be written.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, 92] if path.suffix.lower() in (".jpg", ".jpeg") else []
    content = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()
    with complete_or_absent(path) as partial:
        partial.write_bytes(content)


def read_picture(path: Path, *, levels: str | None = None) -> Image:
    """Read uint8 [H,W,3], sRGB, upright; the first picture of a file that holds several.

    A transparent picture is laid on white; on black, if white would hide it. Deep values are scaled to 8 bits. An
    embedded colour profile is applied.

    Args:
        path: the file.
        levels: the values of 16-bit grey that become 0 and 255, `low:high`; or `auto`, for each picture's own.

    Raises:
        StreamcamError: it cannot be read, or has over 179 million pixels; the message says why.
    """
    try:
        with _opened(path) as picture:
            return decode(picture, levels)
    except Exception as e:  # a hostile file can make Pillow's many readers raise anything
        raise StreamcamError(f"cannot read {path}: {_reason(path, e)}") from e


def read_mask(path: Path) -> npt.NDArray[np.uint8]:
    """Read a mask's stored values, uint8 [H,W]; transparent pixels are 0.

    Of a coloured palette these are the indices, and of a colour picture the strongest channel.

    Raises:
        StreamcamError: it cannot be read, or holds other values than 0 to 255.
    """
    try:
        with _opened(path) as picture:
            values = _values(picture)
            if picture.has_transparency_data:
                values = np.where(np.asarray(picture.convert("RGBA").getchannel("A")), values, 0)
    except Exception as e:
        raise StreamcamError(f"cannot read {path}: expected a picture: {_reason(path, e)}") from e
    if values.size and not 0 <= values.min() <= values.max() <= 255:
        raise StreamcamError(f"{path}: expected values 0 to 255, got {values.min()} to {values.max()}")
    return values.astype(np.uint8)


@contextmanager
def _opened(path: Path) -> Iterator[PIL.Image.Image]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of large pictures and of oddities that do not prevent reading
        with PIL.Image.open(path, formats=FORMATS) as picture:
            yield picture


def _values(picture: PIL.Image.Image) -> npt.NDArray[Any]:
    # The indices of a grey palette are no values: "P" counts as stored values only where the palette is coloured.
    if picture.mode.startswith(("1", "I", "F")) or (picture.mode == "P" and _has_colours(picture)):
        return np.array(picture)
    return np.asarray(np.array(picture.convert("RGB")).max(2))


def _has_colours(picture: PIL.Image.Image) -> bool:
    palette = np.reshape(picture.getpalette("RGB") or [], (-1, 3))
    return bool((palette != palette[:, :1]).any())


def _reason(path: Path, error: Exception) -> str:
    """Say why a picture could not be read."""
    if isinstance(error, UnfitError):
        return str(error)
    if isinstance(error, PIL.Image.DecompressionBombError):
        return f"it has over {MAX_PIXELS // 1_000_000} million pixels"
    if isinstance(error, PIL.UnidentifiedImageError):
        return _reason_unidentified(path)
    if isinstance(error, OSError) and error.errno is not None:  # from the system; a decoder's has no number
        return error.strerror or "the system refuses it"
    return "not a picture that can be read: it is damaged, or cut off"


def _reason_unidentified(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp" and head[8:] in HEIF_BRANDS:
        return "not a picture that can be read: HEIC has no decoder here; save it as JPEG, PNG or AVIF"
    return "not a picture that can be read" if head else "it is empty"
