"""Find clips that look the same: copies, also of another size, frame rate or quality, and scenes without movement."""

import numpy as np
import numpy.typing as npt

from streamcam.records import Floats

MIN_CORRELATION = 0.99
"""Of the pictures of two clips. Copies of a quarter of the size in poor quality reach it."""

MAX_DIFFERENCE = 0.4
"""Between two pixels, in standard deviations of all. A person who moves before a fixed camera makes more."""

MAX_LEVELS = 24.0
"""Between the mean grey levels of two clips, 0–255. Copies with other colour tags differ by up to ten."""

MIN_CONTRAST = 8.0
"""Grey levels. Pictures with less are not stretched further: what is left in them is noise."""


def alike_groups(grey: npt.NDArray[np.uint8]) -> list[list[int]]:
    """Group the clips that look the same.

    Two clips of a group may differ, if others of the group lie between them.

    Args:
        grey: uint8 [N,n,h,w], n small pictures of each of N clips.

    Returns:
        The indices of the clips of each group of two or more, in order.
    """
    features, levels = _normalised(grey)
    squares = (features**2).mean(1)
    group = np.arange(len(features))
    for i, feature in enumerate(features):
        # For vectors of mean 0 and variance 1, the mean square of the difference is 2 − 2 · correlation.
        distance = squares[i] + squares[i + 1 :] - 2 * (features[i + 1 :] @ feature) / len(feature)
        near = (distance <= 2 - 2 * MIN_CORRELATION) & (np.abs(levels[i + 1 :] - levels[i]) <= MAX_LEVELS)
        later = np.flatnonzero(near) + i + 1
        later = later[np.abs(features[later] - feature).max(1, initial=0.0) <= MAX_DIFFERENCE]
        group[np.isin(group, group[later])] = group[i]
    members: dict[int, list[int]] = {}
    for i, number in enumerate(group.tolist()):
        members.setdefault(number, []).append(i)
    return [indices for indices in members.values() if len(indices) > 1]


def _normalised(grey: npt.NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Return vectors float32 [N,D] of mean 0 and variance 1, and the mean grey levels float32 [N].

    Copies often differ in brightness and contrast, as with other colour tags.
    """
    values = grey.reshape(len(grey), -1).astype(np.float32)
    levels = values.mean(1)
    contrast = np.maximum(values.std(1, keepdims=True), MIN_CONTRAST)
    return np.asarray((values - levels[:, None]) / contrast, np.float32), np.asarray(levels, np.float32)
