"""Labelled stretches of video → frames for a batch, decoded in the processes of `workers`."""

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
from streamcam.train.rows import LabelledClip

Key = tuple[int, int]
"""(epoch, number of the clip): all that a clip's random choices depend on, so that a run can be taken up anywhere."""


class Batch(NamedTuple):
    """Clips of the same length, not normalised yet."""

    frames: Tensor
    """uint8 [N,n,3,H,W]."""
    available: Tensor
    """int64 [N]: how many of the n frames are real; the last one is repeated after them."""
    targets: Tensor
    """float32 [N,C], 1 where the class is to be seen."""
    numbers: Tensor
    """int64 [N]: which clips of the data set they are."""
    unread: Tensor
    """int64 [M]: those that should be here as well, and of which nothing can be decoded."""


@dataclass(frozen=True)
class Clips(TorchDataset[Batch]):
    """A data set of clips: `n` frames at the network's rate, resized and not cropped."""

    clips: Sequence[LabelledClip]
    classes: int
    clip_format: ClipFormat
    frames: int
    seed: int | None = None
    """Where in a longer clip the frames begin: anywhere; without a seed, they are the middle ones."""

    def __getitem__(self, key: Key) -> Batch:
        """One clip as a batch of one; of none where nothing of it can be decoded."""
        epoch, number = key
        clip = self.clips[number]
        place = 0.5 if self.seed is None else float(np.random.default_rng((self.seed, epoch, number)).random())
        try:
            frames = read_frames(clip, self.clip_format, count=self.frames, place=place)
        except StreamcamError:
            return self.nothing()._replace(unread=torch.tensor([number]))
        targets = torch.zeros(1, self.classes)
        targets[0, list(clip.labels)] = 1.0
        padded = np.concatenate([frames, np.repeat(frames[-1:], self.frames - len(frames), axis=0)])
        available, numbers = torch.tensor([len(frames)]), torch.tensor([number])
        return Batch(torch.from_numpy(padded)[None], available, targets, numbers, unread=numbers[:0])

    def nothing(self) -> Batch:
        """A batch of no clips."""
        frames = torch.zeros(0, self.frames, 3, *self.clip_format.resize, dtype=torch.uint8)
        none = torch.zeros(0, dtype=torch.int64)
        return Batch(frames, none, torch.zeros(0, self.classes), none, none)


class Order(Sampler[list[Key]]):
    """Which clips make up each batch of an epoch; every class as often as the others, where `balance` says so."""

    def __init__(self, clips: Sequence[LabelledClip], *, batch: int, seed: int, rank: int = 0, world: int = 1) -> None:
        self._weights = _balancing(clips)
        self._batch, self._seed, self._rank, self._world = batch, seed, rank, world
        self.epoch = self.first = 0
        """The epoch, and the batch in it to begin with."""

    def __len__(self) -> int:
        """Batches in a whole epoch, the same for each rank."""
        return max(1, len(self._weights) // (self._batch * self._world))

    def __iter__(self) -> Iterator[list[Key]]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self.epoch)
        size = len(self) * self._batch * self._world
        drawn = torch.multinomial(self._weights, size, replacement=True, generator=generator).tolist()
        mine = drawn[self._rank :: self._world]
        for i in range(self.first, len(self)):
            yield [(self.epoch, number) for number in mine[i * self._batch : (i + 1) * self._batch]]


def _balancing(clips: Sequence[LabelledClip]) -> Tensor:
    """How often to draw each clip [n], so that every class comes equally often (its rarest one counts)."""
    counts = torch.bincount(torch.tensor([label for clip in clips for label in clip.labels]))
    return torch.tensor([1.0 / min(float(counts[label]) for label in clip.labels) for clip in clips])


def read_frames(
    clip: LabelledClip, clip_format: ClipFormat, *, count: int, place: float = 0.5
) -> npt.NDArray[np.uint8]:
    """Up to `count` frames of a clip at the network's rate, uint8 [n,3,H,W], resized and not cropped.

    Args:
        clip: where to read.
        clip_format: the network's.
        count: how many frames; fewer come where the clip is shorter.
        place: 0–1, where in a longer clip: 0 its beginning, 1 its end.

    Raises:
        StreamcamError: no picture can be decoded.
    """
    whole = replace(clip_format, length=count, crop=clip_format.resize)
    spare_s = max(0.0, clip.end_s - clip.start_s - count / clip_format.fps)
    window = SlidingWindow(whole, head_start=True)
    frames: npt.NDArray[np.uint8] | None = None
    start_s = clip.start_s + place * spare_s
    source = open_source(f"file://{clip.path}", paced=False, start_s=start_s, end_s=clip.end_s)
    try:
        for frame in source.frames(Event()):
            pushed = window.push(frame)
            frames = frames if pushed is None else pushed.frames
            if pushed is not None and pushed.full:
                break
    finally:
        source.close()
    if frames is None:
        raise StreamcamError(f"{clip.name}: no picture in it can be decoded")
    return frames


def skipped(clip: LabelledClip) -> str:
    """What is said of a clip that turns out to be unreadable on the way."""
    return f"skipped {clip.name}: no picture in it can be decoded"


def centred(frames: Tensor, clip_format: ClipFormat) -> Tensor:
    """uint8 [N,L,3,H,W] → [N,L,3,h,w]: what is cropped when the network is used."""
    (height, width), (h, w) = clip_format.resize, clip_format.crop
    top, left = round((height - h) / 2), round((width - w) / 2)
    return frames[..., top : top + h, left : left + w]


class InOrder(Sampler[list[Key]]):
    """Every clip once, in order: for validation."""

    def __init__(self, count: int, *, batch: int, rank: int = 0, world: int = 1) -> None:
        self._numbers, self._batch = list(range(rank, count, world)), batch

    def __len__(self) -> int:
        return -(-len(self._numbers) // self._batch)

    def __iter__(self) -> Iterator[list[Key]]:
        for i in range(0, len(self._numbers), self._batch):
            yield [(0, number) for number in self._numbers[i : i + self._batch]]
