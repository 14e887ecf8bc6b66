"""Images of random content, and how far two of them are apart."""

import cv2
import numpy as np
import pytest

from streamcam.records import Image, Picture, on_host

# torchvision's JPEG encoder will be gone one day; the CPU encodes from then on.
OLD_ENCODER = pytest.mark.filterwarnings("ignore:The image decoding and encoding:DeprecationWarning")


def a_scene(height: int, width: int, *, seed: int = 0) -> Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def apart(a: Picture, b: Picture) -> int:
    """Grey levels, where two pictures differ most."""
    return int(np.abs(on_host(a).astype(int) - on_host(b)).max())


def psnr_db(a: Image, b: Image) -> float:
    return float(10 * np.log10(255**2 / np.square(a.astype(float) - b).mean()))
