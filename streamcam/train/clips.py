"""Decode clips into the frames of a batch, and choose the clips of each batch."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Event
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

from streamcam.clips import SlidingWindow
from streamcam.errors import StreamcamError
from streamcam.records import ClipFormat
from streamcam.sources.base import open_source
from streamcam.train.data.annotations import LabelledClip
from streamcam.train.data.pictures import clip_uri
from streamcam.train.recipes import RECIPES

ClipKey = tuple[int, int]
"""(epoch, number of the clip). With the seed they decide all random choices for a clip, so any step can be resumed."""


class Batch(NamedTuple):
    """N clips of n frames, not normalised yet; and the clips that could not be decoded."""

    frames: Tensor
    """uint8 [N,n,3,H,W]."""
    available: Tensor
    """int64 [N]: how many of the n frames were decoded; the others repeat the last of these."""
    targets: Tensor
    """float32 [N,C]: 1 for each class that the clip shows, else 0."""
    numbers: Tensor
    """int64 [N]: the index of each clip in its data set."""
    unreadable: Tensor
    """int64 [M]: the indices of clips of this batch of which no frame can be decoded."""


@dataclass(frozen=True)
class ClipDataset(TorchDataset[Batch]):
    """Clips as PyTorch's data set: `frames` frames each, at the network's rate, resized and not cropped."""

    clips: Sequence[LabelledClip]
    classes: int
    clip_format: ClipFormat
    frames: int
    seed: int | None = None
    """Draws where in a longer clip the frames begin; None takes the middle ones."""

    def __getitem__(self, key: ClipKey) -> Batch:
        """Decode a clip as a batch of one, or of none where no frame can be decoded."""
        epoch, number = key
        clip = self.clips[number]
        generator = np.random.default_rng((self.seed or 0, epoch, number))
        position = 0.5 if self.seed is None else float(generator.random())
        try:
            frames = read_frames(clip, self.clip_format, count=self.frames, position=position, generator=generator)
        except StreamcamError:
            return self.empty_batch()._replace(unreadable=torch.tensor([number]))
        targets = torch.zeros(1, self.classes)
        targets[0, list(clip.labels)] = 1.0
        # The clips of a batch need the same number of frames: a short clip repeats its last one.
        padded = np.concatenate([frames, np.repeat(frames[-1:], self.frames - len(frames), axis=0)])
        available, numbers = torch.tensor([len(frames)]), torch.tensor([number])
        return Batch(torch.from_numpy(padded)[None], available, targets, numbers, unreadable=numbers[:0])

    def empty_batch(self) -> Batch:
        """Return a batch of no clips."""
        frames = torch.zeros(0, self.frames, 3, *self.clip_format.resize, dtype=torch.uint8)
        none = torch.zeros(0, dtype=torch.int64)
        return Batch(frames, none, torch.zeros(0, self.classes), none, none)


class BalancedSampler(Sampler[list[ClipKey]]):
    """Draws the batches of an epoch, each class as often as the others, and each rank its share of them.

    Every rank draws the whole epoch with the same seed and takes each `world`-th clip: ranks need not talk.
    """

    def __init__(self, clips: Sequence[LabelledClip], *, batch: int, seed: int, rank: int = 0, world: int = 1) -> None:
        self._weights = _class_balancing_weights(clips)
        self._batch, self._seed, self._rank, self._world = batch, seed, rank, world
        self.epoch = 0
        self.first = 0
        """The batch to begin the epoch with: above 0 where a run is resumed."""

    def __len__(self) -> int:
        """Return the number of batches in a whole epoch, the same for each rank."""
        return max(1, len(self._weights) // (self._batch * self._world))

    def __iter__(self) -> Iterator[list[ClipKey]]:
        # Seeds of two runs do not meet unless one has a million epochs.
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self.epoch)
        size = len(self) * self._batch * self._world
        # With replacement: the few clips of a rare class come several times in an epoch.
        drawn = torch.multinomial(self._weights, size, replacement=True, generator=generator).tolist()
        numbers = drawn[self._rank :: self._world]
        for i in range(self.first, len(self)):
            yield [(self.epoch, number) for number in numbers[i * self._batch : (i + 1) * self._batch]]


def _class_balancing_weights(clips: Sequence[LabelledClip]) -> Tensor:
    """Return how often to draw each clip [n], relative to the others: 1 / the number of clips of its rarest class.

    Clips that show no class count as if they had one of their own.
    """
    labels = [clip.labels or (None,) for clip in clips]
    counts = Counter(label for shown in labels for label in shown)
    return torch.tensor([1.0 / min(counts[label] for label in shown) for shown in labels])


class ValidationSampler(Sampler[list[ClipKey]]):
    """Gives every clip once, in order; each rank has every `world`-th clip."""

    def __init__(self, count: int, *, batch: int, rank: int = 0, world: int = 1) -> None:
        self._numbers, self._batch = list(range(rank, count, world)), batch

    def __len__(self) -> int:
        return -(-len(self._numbers) // self._batch)

    def __iter__(self) -> Iterator[list[ClipKey]]:
        for i in range(0, len(self._numbers), self._batch):
            # Validation takes the middle frames, which are the same in every epoch.
            yield [(0, number) for number in self._numbers[i : i + self._batch]]


def read_frames(
    clip: LabelledClip,
    clip_format: ClipFormat,
    *,
    count: int,
    position: float = 0.5,
    generator: np.random.Generator | None = None,
) -> npt.NDArray[np.uint8]:
    """Decode up to `count` frames of a clip at the network's rate, resized and not cropped.

    Args:
        clip: the segment to read.
        clip_format: the network's.
        count: the number of frames; a shorter clip gives fewer.
        position: 0–1, where in a longer clip: 0 at its beginning, 1 at its end.
        generator: draws what the clip's recipe leaves to chance, if it has one; None draws the same every time.

    Returns:
        uint8 [n,3,H,W].

    Raises:
        StreamcamError: no frame can be decoded.
    """
    uncropped = replace(clip_format, length=count, crop=clip_format.resize)
    spare_s = max(0.0, clip.end_s - clip.start_s - count / clip_format.fps)
    window = SlidingWindow(uncropped, head_start=True)  # it gives what it has before it is full
    frames: npt.NDArray[np.uint8] | None = None
    start_s = clip.start_s + position * spare_s
    source = open_source(clip_uri(clip.path), paced=False, start_s=start_s, end_s=clip.end_s)
    try:
        for frame in source.frames(Event()):
            pushed = window.push(frame)  # None for a frame between two samples of the network's rate
            frames = frames if pushed is None else pushed.frames
            if pushed is not None and pushed.full:
                break
    finally:
        source.close()
    if frames is None:
        raise StreamcamError(f"{clip.name}: no picture in it can be decoded")
    if clip.recipe is None:
        return frames
    return RECIPES[clip.recipe](frames, generator or np.random.default_rng(0))


def unreadable_note(clip: LabelledClip) -> str:
    """Return the note on a clip that turns out to be unreadable during training."""
    return f"skipped {clip.name}: no picture in it can be decoded"


def centre_crop(frames: Tensor, clip_format: ClipFormat) -> Tensor:
    """Crop frames uint8 [N,L,3,H,W] to the centre [N,L,3,h,w], as live video is cropped."""
    (height, width), (h, w) = clip_format.resize, clip_format.crop
    top, left = round((height - h) / 2), round((width - w) / 2)
    return frames[..., top : top + h, left : left + w]
