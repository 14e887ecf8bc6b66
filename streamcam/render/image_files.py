"""Picture files: which are meant, what is in them as people see it, and how they are written."""

import glob
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import PIL.ExifTags
import PIL.Image
import PIL.ImageCms

from streamcam.errors import StreamcamError
from streamcam.files import complete_or_absent
from streamcam.records import Image
from streamcam.sources.levels import LevelMapper

log = logging.getLogger(__name__)

SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif", ".avif"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".heic", ".heif"),
    }
)
"""What is taken for a picture in a folder. HEIC is told of and not read: nobody's photographs are left out silently."""

FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's readers that a stranger's file may reach: others start programs (EPS), or take anything for theirs (TGA)."""

MAX_PIXELS = 179_000_000
"""About what Pillow takes for a decompression bomb; it refuses before anything is decoded."""

PALE = 230
"""What is seen of a transparent picture and is as light as this, of 255, could not be told from white paper."""

TURNS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
"""EXIF's orientation → what makes the picture upright. Pillow's counter-clockwise angles."""

HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

SUBFILE, BITS, COMPRESSION, PHOTOMETRIC, PLANAR, SAMPLE_FORMAT = 254, 258, 259, 262, 284, 339
"""Tags of TIFF."""


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


def save_picture(path: Path, image: Image) -> None:
    """Write uint8 [H,W,3], RGB, as the suffix says; a jpg in good quality.

    Raises:
        StreamcamError: the system would not write it.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, 92] if path.suffix.lower() in (".jpg", ".jpeg") else []
    content = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()
    with complete_or_absent(path) as partial:
        partial.write_bytes(content)


class _UnfitError(Exception):
    """A picture that Pillow can read, and whose values could only be guessed at."""


def read_picture(path: Path, *, levels: str | None = None) -> Image:
    """uint8 [H,W,3], sRGB, upright; the first picture of a file that holds several.

    Transparent ones lie on white (on black where what is seen of them is as good as white), deep ones are scaled to 8
    bits, and an embedded colour profile is applied.

    Args:
        path: the file.
        levels: of grey of 16 bits, `low:high`, which become 0 and 255, or `auto`: by each picture's own values.

    Raises:
        StreamcamError: it cannot be read, or has over 179 million pixels; the message says why.
    """
    try:
        with _opened(path) as picture:
            return _decoded(picture, levels)
    except Exception as e:  # whatever a hostile file makes of Pillow's many readers
        raise StreamcamError(f"cannot read {path}: {_why_not(path, e)}") from e


def read_mask(path: Path) -> npt.NDArray[np.uint8]:
    """uint8 [H,W]: a mask's values as they are stored; of a coloured palette the indices, of colours the strongest.

    What is transparent is 0.

    Raises:
        StreamcamError: it cannot be read, or holds other values than 0 to 255.
    """
    try:
        with _opened(path) as picture:
            values = _values(picture)
            if picture.has_transparency_data:
                values = np.where(np.asarray(picture.convert("RGBA").getchannel("A")), values, 0)
    except Exception as e:
        raise StreamcamError(f"cannot read {path}: expected a picture: {_why_not(path, e)}") from e
    if values.size and not 0 <= values.min() <= values.max() <= 255:
        raise StreamcamError(f"{path}: expected values 0 to 255, got {values.min()} to {values.max()}")
    return values.astype(np.uint8)


@contextmanager
def _opened(path: Path) -> Iterator[PIL.Image.Image]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large pictures, and of what is odd about a file that can be read
        with PIL.Image.open(path, formats=FORMATS) as picture:
            yield picture


def _values(picture: PIL.Image.Image) -> npt.NDArray[Any]:
    if picture.mode.startswith(("1", "I", "F")) or (picture.mode == "P" and _has_colours(picture)):
        return np.array(picture)
    return np.asarray(np.array(picture.convert("RGB")).max(2))


def _has_colours(picture: PIL.Image.Image) -> bool:
    palette = np.reshape(picture.getpalette("RGB") or [], (-1, 3))
    return bool((palette != palette[:, :1]).any())


def _why_not(path: Path, error: Exception) -> str:
    if isinstance(error, _UnfitError):
        return str(error)
    if isinstance(error, PIL.Image.DecompressionBombError):
        return f"it has over {MAX_PIXELS // 1_000_000} million pixels"
    if isinstance(error, PIL.UnidentifiedImageError):
        return _what_else(path)
    if isinstance(error, OSError) and error.errno is not None:  # the system's, and not the decoder's
        return error.strerror or "the system refuses it"
    return "not a picture that can be read: it is damaged, or cut off"


def _what_else(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp" and head[8:] in HEIF_BRANDS:
        return "not a picture that can be read: HEIC has no decoder here; save it as JPEG, PNG or AVIF"
    return "not a picture that can be read" if head else "it is empty"


def _decoded(picture: PIL.Image.Image, levels: str | None) -> Image:
    _require_plain(picture)
    region = _first_region(picture)
    _mend_key(picture)
    picture.load()
    profile, turn = picture.info.get("icc_profile"), TURNS.get(_orientation(picture))
    plain = _in_eight_bits(picture, levels)
    if region is not None:
        plain = _nothing_around(plain, region)
    if plain.has_transparency_data:
        seen = plain.convert("RGBA")
        rgb = _on_paper(_in_srgb(seen.convert("RGB"), profile), seen.getchannel("A"))
    else:
        rgb = _in_srgb(plain, profile)
    return np.array(rgb if turn is None else rgb.transpose(turn))


def _require_plain(picture: PIL.Image.Image) -> None:
    """Refuse a TIFF whose values are not those of a picture that can be looked at."""
    tags = getattr(picture, "tag_v2", {})
    if tags.get(SUBFILE, 0) & 1:
        raise _UnfitError("its first picture is a thumbnail, as in a raw photograph: develop it first, as JPEG or PNG")
    if 2 in tags.get(SAMPLE_FORMAT, ()):
        raise _UnfitError("its values are signed, and what is black or white is not said: save it as PNG")
    if tags.get(PLANAR) == 2 and max(tags.get(BITS, (8,))) > 8 and tags.get(COMPRESSION) == 1:
        raise _UnfitError("its colours lie in planes of 16 bits, which Pillow mixes up: save it compressed, or as PNG")


def _first_region(picture: PIL.Image.Image) -> tuple[int, int, int, int] | None:
    """Where a GIF's first picture lies on its canvas, if it does not fill it."""
    tiles = getattr(picture, "tile", [])
    if picture.format != "GIF" or not tiles or tiles[0][1] == (0, 0, *picture.size):
        return None
    x0, y0, x1, y1 = tiles[0][1]
    return x0, y0, x1, y1


def _mend_key(picture: PIL.Image.Image) -> None:
    """A PNG's transparent colour is stored in the file's own depth, and Pillow compares it with 8 bits."""
    key, tiles = picture.info.get("transparency"), getattr(picture, "tile", [])
    if picture.format != "PNG" or key is None or not tiles:
        return
    raw = tiles[0][3]
    if raw in ("L;2", "L;4"):
        picture.info["transparency"] = key * {"L;2": 85, "L;4": 17}[raw]
    elif raw == "RGB;16B":
        picture.info["transparency"] = tuple(value >> 8 for value in key)


def _orientation(picture: PIL.Image.Image) -> int:
    """1 to 8, as EXIF numbers them; 1 where what is said of it cannot be understood."""
    try:
        return int(picture.getexif().get(PIL.ExifTags.Base.Orientation, 1))
    except Exception:  # a broken EXIF is no reason not to show the picture
        return 1


@cache
def _tell_that_depth_is_lost(white: int) -> None:
    """Once for all pictures of a kind."""
    log.warning("grey up to %d is scaled to 8 bits: --levels low:high, or auto, says which values count", white)


def _in_eight_bits(picture: PIL.Image.Image, levels: str | None) -> PIL.Image.Image:
    """The same in a mode with 8 bits for each value; Pillow's own conversion would cut deep values off at 255."""
    is_deep = picture.mode.startswith("I") and getattr(picture, "tag_v2", {}).get(BITS, (16,))[0] == 16
    if levels is not None and not is_deep:
        raise _UnfitError("--levels is for grey of 16 bits: leave it out for this one")
    if not picture.mode.startswith(("I", "F")):
        return picture
    values, white = np.asarray(picture), 1
    if picture.mode != "F":
        bits = getattr(picture, "tag_v2", {}).get(BITS, (16,))[0]
        values, white = values.view(np.uint32) if bits == 32 else values, 2**bits - 1
    elif not (values.min() >= 0 and values.max() <= 1):  # also where one is not a number
        raise _UnfitError("its values are floating point and not all between 0 and 1: scale them, or save it as PNG")
    if levels is None:
        _tell_that_depth_is_lost(white)
        grey = np.rint(values * (255 / white)).astype(np.uint8)
    else:
        grey = LevelMapper(levels).image(values.astype(np.uint16), 0.0)[..., 0]
    if getattr(picture, "tag_v2", {}).get(PHOTOMETRIC) == 0:
        grey = 255 - grey
    deep = PIL.Image.fromarray(grey)
    if "transparency" in picture.info:
        deep.putalpha(PIL.Image.fromarray(values != picture.info["transparency"]).convert("L"))
    return deep


def _nothing_around(picture: PIL.Image.Image, region: tuple[int, int, int, int]) -> PIL.Image.Image:
    canvas = PIL.Image.new("RGBA", picture.size)
    canvas.paste(picture.convert("RGBA").crop(region), region)
    return canvas


def _on_paper(rgb: PIL.Image.Image, alpha: PIL.Image.Image) -> PIL.Image.Image:
    """Lay a transparent picture on white; or on black, where what is seen of it could not be told from white."""
    weight = np.asarray(alpha, np.float32)
    light = float((np.asarray(rgb.convert("L")) * weight).sum() / max(float(weight.sum()), 1.0))
    paper = PIL.Image.new("RGB", rgb.size, "black" if light >= PALE and weight.min() < PALE else "white")
    paper.paste(rgb, mask=alpha)
    return paper


def _in_srgb(picture: PIL.Image.Image, profile: bytes | None) -> PIL.Image.Image:
    """RGB; where there is a colour profile that fits and changes anything, as that says."""
    if picture.mode == "LAB":
        return _applied(PIL.ImageCms.buildTransform(PIL.ImageCms.createProfile("LAB"), _srgb(), "LAB", "RGB"), picture)
    transform = None if profile is None else _transform(profile, picture.mode)
    if transform is None:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    return _applied(transform, picture)


def _applied(transform: PIL.ImageCms.ImageCmsTransform, picture: PIL.Image.Image) -> PIL.Image.Image:
    after = PIL.ImageCms.applyTransform(picture.convert(transform.input_mode), transform)
    assert after is not None  # which it is in place alone
    return after


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> PIL.ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB; None where it is broken, is for other colours than these, or is sRGB itself."""
    try:
        source = PIL.ImageCms.ImageCmsProfile(io.BytesIO(profile))
        stored = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}[source.profile.xcolor_space]
        if (stored == "CMYK") != (mode == "CMYK") or (stored == "L" and mode not in ("1", "L")):
            return None
        transform = PIL.ImageCms.buildTransform(source, _srgb(), stored, "RGB")
        return None if stored == "RGB" and _changes_nothing(transform) else transform
    except Exception:  # PyCMSError, KeyError, OSError: whatever a stranger's profile brings about
        return None


@cache
def _srgb() -> PIL.ImageCms.ImageCmsProfile:
    return PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB"))


def _changes_nothing(transform: PIL.ImageCms.ImageCmsTransform) -> bool:
    steps = np.arange(0, 256, 51, dtype=np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    after = _applied(transform, PIL.Image.fromarray(colours))
    return bool(np.abs(np.asarray(after, np.int16) - colours).max() <= 2)
