"""Opened Pillow pictures → pixels as people see them: uint8, sRGB, upright, without transparency."""

import logging
from functools import cache

import numpy as np
import PIL.ExifTags
import PIL.Image

from streamcam.records import Image
from streamcam.render.colour_profile import to_srgb
from streamcam.sources.pixels.levels import LevelMapper

log = logging.getLogger(__name__)

PALE = 230
"""Where the visible pixels of a transparent picture are this light on average, of 255, white paper would hide them."""

TURNS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
"""EXIF's orientation → the operation that makes the picture upright. Pillow's angles are counter-clockwise."""

SUBFILE, BITS, COMPRESSION, PHOTOMETRIC, PLANAR, SAMPLE_FORMAT = 254, 258, 259, 262, 284, 339
"""Tags of TIFF 6.0. Bit 0 of SUBFILE marks a thumbnail. SAMPLE_FORMAT 2 means signed integers, PLANAR 2 one plane for
each colour, COMPRESSION 1 none, and PHOTOMETRIC 0 grey in which 0 is white."""


class UnfitError(Exception):
    """A picture that Pillow can read, but whose values could only be guessed at."""


def decode(picture: PIL.Image.Image, levels: str | None) -> Image:
    """Decode the first picture of an opened file: uint8 [H,W,3], sRGB, upright.

    Raises:
        UnfitError: its values do not say what is black and what is white.
    """
    _require_plain(picture)
    region = _first_region(picture)  # before `load`, which forgets it
    _mend_transparent_colour(picture)
    picture.load()
    profile, turn = picture.info.get("icc_profile"), TURNS.get(_orientation(picture))
    plain = _to_eight_bits(picture, levels)
    if region is not None:
        plain = _clear_around(plain, region)
    if plain.has_transparency_data:
        rgba = plain.convert("RGBA")
        rgb = _on_paper(to_srgb(rgba.convert("RGB"), profile), rgba.getchannel("A"))
    else:
        rgb = to_srgb(plain, profile)
    return np.array(rgb if turn is None else rgb.transpose(turn))


def _require_plain(picture: PIL.Image.Image) -> None:
    """Refuse a TIFF whose values are not those of a picture to look at."""
    tags = getattr(picture, "tag_v2", {})
    if tags.get(SUBFILE, 0) & 1:
        raise UnfitError("its first picture is a thumbnail, as in a raw photograph: develop it first, as JPEG or PNG")
    if 2 in tags.get(SAMPLE_FORMAT, ()):
        raise UnfitError("its values are signed, and what is black or white is not said: save it as PNG")
    if tags.get(PLANAR) == 2 and max(tags.get(BITS, (8,))) > 8 and tags.get(COMPRESSION) == 1:
        raise UnfitError("its colours lie in planes of 16 bits, which Pillow mixes up: save it compressed, or as PNG")


def _first_region(picture: PIL.Image.Image) -> tuple[int, int, int, int] | None:
    """Return where a GIF's first picture lies on its canvas; None if it fills the canvas, or is no GIF."""
    tiles = getattr(picture, "tile", [])
    if picture.format != "GIF" or not tiles or tiles[0][1] == (0, 0, *picture.size):
        return None
    x0, y0, x1, y1 = tiles[0][1]
    return x0, y0, x1, y1


def _mend_transparent_colour(picture: PIL.Image.Image) -> None:
    """Scale a PNG's transparent colour to 8 bits.

    The file stores it in its own depth, and Pillow compares it with 8-bit values as it is.
    """
    colour, tiles = picture.info.get("transparency"), getattr(picture, "tile", [])
    if picture.format != "PNG" or colour is None or not tiles:
        return
    raw_mode = tiles[0][3]
    if raw_mode in ("L;2", "L;4"):
        picture.info["transparency"] = colour * {"L;2": 85, "L;4": 17}[raw_mode]  # 255 / 3 and 255 / 15
    elif raw_mode == "RGB;16B":
        picture.info["transparency"] = tuple(value >> 8 for value in colour)


def _orientation(picture: PIL.Image.Image) -> int:
    """Return EXIF's orientation, 1 to 8; 1, which is upright, if it cannot be understood."""
    try:
        return int(picture.getexif().get(PIL.ExifTags.Base.Orientation, 1))
    except Exception:  # a broken EXIF is no reason not to show the picture
        return 1


@cache
def _warn_of_lost_depth(white: int) -> None:
    """Warn once for all pictures of the same depth."""
    log.warning("grey up to %d is scaled to 8 bits: --levels low:high, or auto, says which values count", white)


def _to_eight_bits(picture: PIL.Image.Image, levels: str | None) -> PIL.Image.Image:
    """Convert deep grey to 8 bits; Pillow's own conversion would cut its values off at 255."""
    is_deep = picture.mode.startswith("I") and _bits(picture) == 16
    if levels is not None and not is_deep:
        raise UnfitError("--levels is for grey of 16 bits: leave it out for this one")
    if not picture.mode.startswith(("I", "F")):
        return picture
    values, white = np.asarray(picture), 1
    if picture.mode != "F":
        bits = _bits(picture)
        # Pillow keeps 32 bits as signed numbers, though the file's are not.
        values, white = values.view(np.uint32) if bits == 32 else values, 2**bits - 1
    elif not (values.min() >= 0 and values.max() <= 1):  # also false for NaN
        raise UnfitError("its values are floating point and not all between 0 and 1: scale them, or save it as PNG")
    if levels is None:
        _warn_of_lost_depth(white)
        grey = np.rint(values * (255 / white)).astype(np.uint8)
    else:
        grey = LevelMapper(levels).image(values.astype(np.uint16), 0.0)[..., 0]
    if getattr(picture, "tag_v2", {}).get(PHOTOMETRIC) == 0:
        grey = 255 - grey
    plain = PIL.Image.fromarray(grey)
    if "transparency" in picture.info:
        plain.putalpha(PIL.Image.fromarray(values != picture.info["transparency"]).convert("L"))
    return plain


def _bits(picture: PIL.Image.Image) -> int:
    """Return the bits of a value of deep grey, by the file's tags; 16 if it has none."""
    return int(getattr(picture, "tag_v2", {}).get(BITS, (16,))[0])


def _clear_around(picture: PIL.Image.Image, region: tuple[int, int, int, int]) -> PIL.Image.Image:
    """Make all but a region transparent."""
    canvas = PIL.Image.new("RGBA", picture.size)
    canvas.paste(picture.convert("RGBA").crop(region), region)
    return canvas


def _on_paper(rgb: PIL.Image.Image, alpha: PIL.Image.Image) -> PIL.Image.Image:
    """Lay a transparent picture on white; on black, if its visible pixels are so light that white would hide them."""
    weight = np.asarray(alpha, np.float32)
    lightness = float((np.asarray(rgb.convert("L")) * weight).sum() / max(float(weight.sum()), 1.0))
    paper = PIL.Image.new("RGB", rgb.size, "black" if lightness >= PALE and weight.min() < PALE else "white")
    paper.paste(rgb, mask=alpha)
    return paper
