"""Make docs/overlay.jpg: what `streamcam run sample` paints, at three moments.

python scripts/readme_picture.py
"""

from pathlib import Path

import cv2
import numpy as np

import streamcam
from streamcam.render import Painter

MOMENTS_S = (2.0, 4.2, 6.4)


def main() -> None:
    """Paint the windows that end at those moments, side by side."""
    painter, pictures = Painter(), []
    for result in streamcam.stream("sample", as_fast_as_possible=True):
        if len(pictures) < len(MOMENTS_S) and result.frame.pts_s >= MOMENTS_S[len(pictures)]:
            pictures.append(painter.overlay(result))
    sheet = cv2.cvtColor(np.concatenate(pictures, axis=1), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(Path(__file__).parents[1] / "docs" / "overlay.jpg"), sheet, [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
