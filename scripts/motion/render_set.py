"""Render clips that `motion` was not taught with, and their truth, for `streamcam eval`.

    python -m scripts.motion.render_set DIR [--photographs FOLDER]
    streamcam eval DIR/single --model motion        # one thing that does one thing, in each of the classes
    streamcam eval DIR/large --model motion         # the same, of things that fill 10 to 60 % of the picture
    streamcam eval DIR/pairs --model motion         # two things, each doing another
    streamcam eval DIR/camera --model motion        # one thing that does one thing, before a camera that moves

Textures, shapes and seeds are others than in training (with --part train, the seeds alone are). The truth says
what each thing does at each of the 16 heat slices, and where it is then. Things fill 0.5 to 60 % of the picture.
"""

import argparse
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from rich.progress import track

from scripts.motion.appearance import NoPhotographsError
from scripts.motion.layers import Format, Scene
from scripts.motion.paths import PROGRAMS
from scripts.motion.render import Rendered, SceneRenderer
from streamcam.evaluate.truth import write_truth
from streamcam.models.motion import LABELS, NO_PLACE

FPS = 15
SINGLE_SEED, PAIR_SEED, LARGE_SEED, CAMERA_SEED = 9 * 10**8, 95 * 10**7, 92 * 10**7, 94 * 10**7
BEFORE = {"held-out": 0, "train": 2 * 10**8}
"""How far below these the seeds of a part begin."""

SEEDS_EACH = 10**5
LEAST, LARGE, MOST = 0.005, 0.1, 0.6
"""Share of the picture that each thing covers, on average, while it does what it is named for."""
CLEARLY = 0.75
"""How true a class has to be of a clip or a thing that is to show it; of others it is to be less than half as true."""

Masks = npt.NDArray[np.bool_]


def things(rendered: Rendered, labels: Sequence[str]) -> list[tuple[str, Masks]]:
    """Where something does each of these, bool [L,H,W], as far as it is anywhere; from a batch of one."""
    assert rendered.masks is not None
    found = []
    for label in labels:
        does = rendered.target[0, :, :, LABELS.index(label)].numpy() >= CLEARLY
        mask = np.asarray((rendered.masks[0].numpy() & does[..., None, None]).any(0), np.bool_)
        if mask.any():
            found.append((label, mask))
    return found


def as_large_as(mask: Masks, least: float) -> bool:
    """Whether a thing can be seen well while it does what it does."""
    there = mask.any((1, 2))
    return bool(least <= mask[there].mean() <= MOST)


def shows(scene: Scene, labels: Sequence[str]) -> bool:
    """Whether these labels are true of a clip and no others, beyond doubt."""
    true = scene.label >= CLEARLY
    clear = true | (scene.label < CLEARLY / 2)
    return bool(clear.all() and [LABELS[c] for c in np.flatnonzero(true)] == sorted(labels, key=LABELS.index))


def clips(
    renderer: SceneRenderer, labels: Sequence[str], first_seed: int, *, least: float = LEAST
) -> Iterator[tuple[Rendered, list[tuple[str, Masks]]]]:
    """Clips of which just these labels are true, beyond doubt, each of a thing that can be seen."""
    placed = [label for label in labels if label not in NO_PLACE]
    for seed in range(first_seed, first_seed + SEEDS_EACH):
        scene = renderer.compose(seed, wanted=list(labels))
        if not shows(scene, labels):
            continue
        rendered = renderer.render([scene], masks=True)
        found = things(rendered, placed)
        if [label for label, _ in found] == placed and all(as_large_as(mask, least) for _, mask in found):
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
    times = renderer.fmt.times / FPS
    masks = np.stack([m for _, m in found]) if found else np.zeros((0, len(times), height, width), np.bool_)
    write_truth(path, masks, [label for label, _ in found], pts_s=times, scene=labels)


def pairs(count: int) -> list[list[str]]:
    """Two different things to do, so many times."""
    rng = np.random.default_rng(PAIR_SEED)
    return [[str(name) for name in rng.choice(list(PROGRAMS), 2, replace=False)] for _ in range(count)]


def render_each(
    folder: Path, renderer: SceneRenderer, labels: Sequence[str], also: list[str], seed: int, count: int, least: float
) -> None:
    """So many clips of each label, in a folder of its own, and what else is to be true of them."""
    for label in track(labels, description=folder.name):
        source = clips(renderer, [label, *also], seed + LABELS.index(label) * SEEDS_EACH, least=least)
        for i in range(count):
            write(folder / label / f"{i:03d}.mp4", renderer, *next(source), [label, *also])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=20, help="of each class")
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument(
        "--labels", nargs="+", metavar="LABEL", choices=LABELS, default=LABELS, help="of the clips with one thing"
    )
    parser.add_argument("--part", choices=BEFORE, default="held-out", help="whose textures")
    parser.add_argument("--photographs", type=Path, metavar="FOLDER", help="of scripts.motion.photographs")
    args = parser.parse_args()
    try:
        renderer = SceneRenderer(args.part, fmt=Format(), photographs=args.photographs)
    except NoPhotographsError as error:
        parser.error(str(error))
    placed = [label for label in args.labels if label not in NO_PLACE]
    sets: list[tuple[str, Sequence[str], list[str], int, float]] = [
        ("single", args.labels, [], SINGLE_SEED, LEAST),
        ("large", placed, [], LARGE_SEED, LARGE),
        ("camera", placed, ["camera moving"], CAMERA_SEED, LEAST),
    ]
    for name, labels, also, seed, least in sets:
        first = seed - BEFORE[args.part]
        render_each(args.folder / name, renderer, labels, also, first, args.clips, least)
    for i, both in enumerate(track(pairs(args.pairs), description="pairs")):
        source = clips(renderer, both, PAIR_SEED - BEFORE[args.part] + i * SEEDS_EACH)
        write(args.folder / "pairs" / f"{i:03d} {both[0]} + {both[1]}.mp4", renderer, *next(source), both)


if __name__ == "__main__":
    main()
