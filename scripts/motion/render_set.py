"""Render clips that `motion` was not taught with, and their truth, for `streamcam eval`.

    python -m scripts.motion.render_set DIR [--clips 20] [--pairs 60]
    streamcam eval DIR/single --model motion        # one thing that does one thing, in each of the classes
    streamcam eval DIR/pairs --model motion         # two things, each doing another

Textures, shapes and seeds are others than in training (with --part train, the seeds alone are). The truth says
what each thing does at each of the 16 heat slices, and where it is then. Things fill 1 to 40 % of the picture.
"""

import argparse
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from rich.progress import track

from scripts.motion.clips import NO_PLACE
from scripts.motion.layers import Format, Scene
from scripts.motion.paths import PROGRAMS
from scripts.motion.render import Rendered, SceneRenderer
from streamcam.evaluate.truth import write_truth
from streamcam.models.motion import LABELS

FPS = 15
SINGLE_SEED, PAIR_SEED = 9 * 10**8, 95 * 10**7
BEFORE = {"held-out": 0, "train": 2 * 10**8}
"""How far below these the seeds of a part begin."""

SEEDS_EACH = 10**5
LEAST, MOST = 0.01, 0.4
"""Share of the picture that each thing covers, on average, while it does what it is named for."""

Masks = npt.NDArray[np.bool_]


def things(rendered: Rendered, scene: Scene, labels: Sequence[str]) -> list[tuple[str, Masks]]:
    """Each thing that does one of these, and where it is while it does, bool [L,H,W]; from a batch of one."""
    assert rendered.masks is not None
    found = []
    for i in range(len(scene.layers) - 1):
        for label in labels:
            does = rendered.target[0, i, :, LABELS.index(label)].numpy() > 0
            mask = rendered.masks[0, i].numpy() & does[:, None, None]
            if mask.any():
                found.append((label, mask))
    return found


def large_enough(mask: Masks) -> bool:
    """Whether a thing can be seen well while it does what it does."""
    there = mask.any((1, 2))
    return bool(LEAST <= mask[there].mean() <= MOST)


def clips(
    renderer: SceneRenderer, labels: Sequence[str], first_seed: int
) -> Iterator[tuple[Rendered, list[tuple[str, Masks]]]]:
    """Clips of which just these labels are true, beyond doubt, each of a thing that can be seen."""
    placed = [label for label in labels if label not in NO_PLACE]
    for seed in range(first_seed, first_seed + SEEDS_EACH):
        scene = renderer.compose(seed, wanted=list(labels))
        if [LABELS[c] for c in np.flatnonzero(scene.label)] != sorted(labels, key=LABELS.index):
            continue
        rendered = renderer.render([scene], masks=True)
        found = things(rendered, scene, placed)
        if [label for label, _ in found] in (placed, placed[::-1]) and all(large_enough(mask) for _, mask in found):
            yield rendered, found


def write(
    path: Path, renderer: SceneRenderer, rendered: Rendered, found: list[tuple[str, Masks]], labels: Sequence[str]
) -> None:
    """A clip, hardly compressed (the scene's camera has done that), and its truth; the labels hold of all of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = renderer.fmt.size
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "8", "preset": "fast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, FPS)
        for i, picture in enumerate(rendered.frames[0].permute(1, 2, 3, 0).numpy()):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    times = np.arange(renderer.fmt.frames)[renderer.fmt.middle] / FPS
    masks = np.stack([m for _, m in found]) if found else np.zeros((0, len(times), height, width), np.bool_)
    write_truth(path, masks, [label for label, _ in found], pts_s=times, scene=labels)


def pairs(count: int) -> list[list[str]]:
    """Two different things to do, so many times."""
    rng = np.random.default_rng(PAIR_SEED)
    return [[str(name) for name in rng.choice(list(PROGRAMS), 2, replace=False)] for _ in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=20, help="of each class")
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument(
        "--labels", nargs="+", metavar="LABEL", choices=LABELS, default=LABELS, help="of the clips with one thing"
    )
    parser.add_argument("--part", choices=BEFORE, default="held-out", help="whose textures")
    args = parser.parse_args()
    renderer = SceneRenderer(args.part, fmt=Format())
    for label in track(args.labels, description="single"):
        first_seed = SINGLE_SEED - BEFORE[args.part] + LABELS.index(label) * SEEDS_EACH
        source = clips(renderer, [label], first_seed)
        for i in range(args.clips):
            write(args.folder / "single" / label / f"{i:03d}.mp4", renderer, *next(source), [label])
    for i, both in enumerate(track(pairs(args.pairs), description="pairs")):
        source = clips(renderer, both, PAIR_SEED - BEFORE[args.part] + i * SEEDS_EACH)
        write(args.folder / "pairs" / f"{i:03d} {both[0]} + {both[1]}.mp4", renderer, *next(source), both)


if __name__ == "__main__":
    main()
