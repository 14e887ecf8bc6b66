"""Each frame once: a network that does not mix time is run on new frames only; a window is a mean over its slices."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamcam.cam import choose, to_heat
from streamcam.engines.device import Runner
from streamcam.errors import StreamcamError
from streamcam.models import ModelSpec
from streamcam.records import Clip, Heat


def can_stream(spec: ModelSpec, *, linear: bool) -> bool:
    """Whether a window's logits are the mean over what each of its frames gives alone."""
    return spec.framewise and linear


class StreamEngine:
    """Clips → heat, one forward for each frame. Same answers as `WindowEngine`, to rounding.

    It keeps the heat slices of each source's last L frames. Two clips of a session share all frames but those between
    their indices, so only these are computed, also when clips in between were dropped.
    """

    name = "stream"
    head_start = True

    def __init__(self, runner: Runner, *, top_k: int = 5, classes: Sequence[int] | None = None) -> None:
        if not can_stream(runner.spec, linear=runner.is_linear):
            why = "its head is not linear" if runner.spec.framewise else "it mixes time"
            raise StreamcamError(f"the stream engine cannot run {runner.spec.name}: {why} (use --engine window)")
        self.runner, self._top_k, self._classes = runner, top_k, classes
        self.max_batch = runner.max_batch
        self._slices: dict[str, _Slices] = {}
        runner.run([np.zeros((1, 3, *runner.spec.clip_format.crop), np.uint8)])  # warm up

    @torch.inference_mode()
    def infer(self, clips: Sequence[Clip]) -> list[Heat | None]:
        """The heat of each clip, in order; the new frames of all of them, of any sources, are one batch.

        A clip that is not full yet is computed and remembered; its heat is None.
        """
        if len({clip.last.source for clip in clips}) < len(clips):  # each has to know what the one before it brought
            return [heat for clip in clips for heat in self.infer([clip])]
        fresh = [self._unseen(clip) for clip in clips]
        output = self.runner.run([np.concatenate(fresh) if len(fresh) > 1 else fresh[0]])
        self._bias = output.bias
        parts = torch.split(output.cube[0].transpose(0, 1), [len(frames) for frames in fresh])
        return [self._add(clip, new) for clip, new in zip(clips, parts, strict=True)]

    def _unseen(self, clip: Clip) -> npt.NDArray[np.uint8]:
        """The clip's frames [n,3,h,w] that were not computed before, at least one."""
        known = self._slices.get(clip.last.source)
        if known is None or known.session != clip.last.session or clip.index <= known.index:
            self._slices.pop(clip.last.source, None)
            return clip.frames
        return clip.frames[-min(clip.index - known.index, len(clip.frames)) :]

    def _add(self, clip: Clip, new: Tensor) -> Heat | None:
        length = self.runner.spec.clip_format.length
        slices = self._slices.setdefault(clip.last.source, _Slices(length, clip.last.session))
        slices.add(new, index=clip.index)
        if not clip.full:
            return None
        logits = slices.pooled.mean(0) + self._bias
        chosen = choose(logits, top_k=self._top_k, classes=self._classes)
        order = slices.order()
        return to_heat(
            logits,
            slices.cube[order[:, None], chosen].transpose(0, 1),
            slices.common[order],
            chosen,
            clip=clip,
            context=self.runner.context,
            slice_frames=self.runner.spec.slice_frames(length),
        )


class _Slices:
    """A ring of the last L heat slices of one source."""

    def __init__(self, length: int, session: int) -> None:
        self.length, self.session, self.index = length, session, -1
        self._next = 0

    def add(self, new: Tensor, *, index: int) -> None:
        """Write slices [n,C,h,w], n ≤ L, the last of which belongs to sample `index`."""
        if self.index < 0:
            self.cube = new.new_empty(self.length, *new.shape[1:])
            self.pooled = new.new_empty(self.length, new.shape[1])
            self.common = new.new_empty(self.length, *new.shape[2:])
        at = (torch.arange(len(new), device=new.device) + self._next) % self.length
        self.cube[at], self.pooled[at], self.common[at] = new, new.mean((2, 3)), new.mean(1)
        self._next = (self._next + len(new)) % self.length
        self.index = index

    def order(self) -> Tensor:
        """int64 [L]: where the slices lie in the ring, the oldest first."""
        return (torch.arange(self.length, device=self.cube.device) + self._next) % self.length
