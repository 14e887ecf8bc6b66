"""Name the clips of people whom a classical classifier has not seen: gradients and optical flow, without a network.

    python -m scripts.footage.hog_and_flow ACTIONS

ACTIONS has a folder for each class, with clips named for a person: `wave/anna.mp4`, `wave/anna_mirror.mp4`. A clip's
features are histograms of oriented gradients (Dalal and Triggs, CVPR 2005) and of optical flow (Laptev et al., CVPR
2008), over the same cells, as means over its frames. A linear classifier is fitted to them; each person is left out
once.
"""

import argparse
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from threading import Event

import cv2
import numpy as np
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from streamcam.evaluate.dataset import find_items
from streamcam.records import Floats, Image
from streamcam.sources.base import open_source

SIZE, CELL, DIRECTIONS = 64, 16, 8
STRENGTHS = 10.0 ** np.arange(-4, 3)
"""Of the regularisation; the best is chosen by people who are not left out."""


def histograms(dx: Floats, dy: Floats) -> Floats:
    """Sum the lengths of vectors [H,W] by direction in each cell: float32 [H/CELL, W/CELL, DIRECTIONS]."""
    length, angle = cv2.cartToPolar(dx, dy)
    bins = np.floor(angle / (2 * np.pi) * DIRECTIONS).astype(int) % DIRECTIONS
    layers = [np.where(bins == direction, length, 0.0) for direction in range(DIRECTIONS)]
    cells = [cv2.resize(layer, (SIZE // CELL, SIZE // CELL), interpolation=cv2.INTER_AREA) for layer in layers]
    return np.asarray(np.stack(cells, -1), np.float32)


def features(frames: list[Image]) -> Floats:
    """Describe a clip of grey frames [SIZE,SIZE] by its mean histograms, each kind divided by its own length."""
    edges = [[np.asarray(cv2.Sobel(f, cv2.CV_32F, *axis), np.float32) for axis in ((1, 0), (0, 1))] for f in frames]
    gradients = [histograms(dx, dy) for dx, dy in edges]
    flows = [
        cv2.calcOpticalFlowFarneback(a, b, None, 0.5, 3, 11, 3, 5, 1.2, 0)  # type: ignore[call-overload]
        for a, b in pairwise(frames)
    ]
    motion = [histograms(np.ascontiguousarray(flow[..., 0]), np.ascontiguousarray(flow[..., 1])) for flow in flows]
    kinds = [np.mean(gradients, axis=0).ravel(), np.mean(motion, axis=0).ravel()]
    return np.concatenate([kind / (np.linalg.norm(kind) + 1e-6) for kind in kinds])


def read(path: str) -> list[Image]:
    """Read a clip's frames, grey and SIZE×SIZE."""
    with closing(open_source(path, paced=False)) as source:
        pictures = [frame.pixels for frame in source.frames(Event())]
    return [cv2.resize(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), (SIZE, SIZE)).astype(np.uint8) for p in pictures]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder with a folder of clips for each class")
    items = find_items(parser.parse_args().folder)
    labels = np.array([str(item.folder_class) for item in items])
    people = np.array([Path(item.uri).stem.split("_")[0] for item in items])
    known = np.stack([features(read(item.uri)) for item in items])
    inner = GroupKFold(n_splits=len(set(people)) - 1)
    right = np.zeros(len(items), bool)
    for train, test in LeaveOneGroupOut().split(known, labels, people):
        folds = list(inner.split(known[train], labels[train], people[train]))
        classifier = make_pipeline(StandardScaler(), LogisticRegressionCV(Cs=STRENGTHS, cv=folds, max_iter=5000))
        classifier.fit(known[train], labels[train])
        right[test] = classifier.predict(known[test]) == labels[test]
        print(f"without {people[test][0]}: {right[test].mean():.2f} of {len(test)}")
    print(f"top-1 {right.mean():.3f} of {len(items)}")


if __name__ == "__main__":
    main()
