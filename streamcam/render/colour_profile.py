"""Embedded colour profiles (ICC) → sRGB, by Pillow's LittleCMS."""

import io
from functools import cache, lru_cache

import numpy as np
import PIL.Image
import PIL.ImageCms

MAX_DIFFERENCE = 2
"""A profile that changes no value of a test chart by more, of 255, is taken for sRGB itself."""


def to_srgb(picture: PIL.Image.Image, profile: bytes | None) -> PIL.Image.Image:
    """Convert a picture to RGB; by its profile, if that fits the picture and changes anything."""
    if picture.mode == "LAB":
        return _apply(PIL.ImageCms.buildTransform(PIL.ImageCms.createProfile("LAB"), _srgb(), "LAB", "RGB"), picture)
    transform = None if profile is None else _transform(profile, picture.mode)
    if transform is None:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    return _apply(transform, picture)


def _apply(transform: PIL.ImageCms.ImageCmsTransform, picture: PIL.Image.Image) -> PIL.Image.Image:
    converted = PIL.ImageCms.applyTransform(picture.convert(transform.input_mode), transform)
    assert converted is not None  # it is None only where a picture is converted in place
    return converted


@lru_cache(maxsize=16)  # a folder's pictures usually share a profile, and building a transform takes milliseconds
def _transform(profile: bytes, mode: str) -> PIL.ImageCms.ImageCmsTransform | None:
    """Build the transform from a profile to sRGB.

    Return None for a profile that is broken, is for another kind of colours than the picture has, or is sRGB itself.
    """
    try:
        source = PIL.ImageCms.ImageCmsProfile(io.BytesIO(profile))
        profile_mode = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}[source.profile.xcolor_space]
        if (profile_mode == "CMYK") != (mode == "CMYK") or (profile_mode == "L" and mode not in ("1", "L")):
            return None
        transform = PIL.ImageCms.buildTransform(source, _srgb(), profile_mode, "RGB")
        return None if profile_mode == "RGB" and _changes_nothing(transform) else transform
    except Exception:  # PyCMSError, KeyError, OSError: a stranger's profile may raise anything
        return None


@cache
def _srgb() -> PIL.ImageCms.ImageCmsProfile:
    return PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB"))


def _changes_nothing(transform: PIL.ImageCms.ImageCmsTransform) -> bool:
    """Convert a chart of 6 × 6 × 6 colours, and return whether they stay nearly the same."""
    steps = np.arange(0, 256, 51, dtype=np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    converted = _apply(transform, PIL.Image.fromarray(colours))
    return bool(np.abs(np.asarray(converted, np.int16) - colours).max() <= MAX_DIFFERENCE)
