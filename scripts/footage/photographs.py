"""Photographs that scikit-image brings: public domain or CC0."""

import numpy as np
import numpy.typing as npt
import skimage.data


def photograph(name: str) -> npt.NDArray[np.uint8]:
    """Return a picture of `skimage.data` by its name, uint8 [H,W,3] or [H,W]."""
    return np.asarray(getattr(skimage.data, name)(), np.uint8)
