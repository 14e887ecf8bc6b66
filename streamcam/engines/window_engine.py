"""The reference engine: the network computes every clip from its first frame to its last."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from streamcam.engines.device.engine import DeviceEngine, SentBatch
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.device.transfers import Arrays
from streamcam.heat.cam import choose_classes
from streamcam.heat.results import heat_times, to_heats
from streamcam.records import Clip, Heat


class WindowEngine(DeviceEngine):
    """An engine that computes every clip whole. It is right for every model."""

    name = "window"
    head_start = needs_every_frame = False

    def __init__(self, runner: TorchRunner, *, top_k: int = 5, classes: Sequence[int] | None = None) -> None:
        """Warm the device up with a black clip.

        Args:
            runner: the model, on its device.
            top_k: how many classes' heat each result carries, where `classes` is not given.
            classes: indices of the classes whose heat each result carries.

        Raises:
            StreamcamError: the device has not enough memory.
        """
        super().__init__(runner, max_batch=runner.max_batch)
        self._top_k, self._classes = top_k, runner.class_indices(classes)
        self.hop, self.lookahead_s = runner.spec.temporal_stride, runner.spec.window_lookahead_s
        clip_format = runner.spec.clip_format
        warm_up = np.zeros((clip_format.length, 3, *clip_format.crop), np.uint8)
        self.result(self._transfers.send([warm_up], lambda frames: self._compute(frames.view(1, *warm_up.shape))))

    def infer(self, clips: Sequence[Clip]) -> list[Heat]:
        """Compute the heat of each clip, in order, and wait for it. Clips of any sources are one batch."""
        return [heat for heat in self.submit(clips).wait() if heat is not None]

    def _send(self, clips: Sequence[Clip]) -> SentBatch:
        shape = (len(clips), *clips[0].frames.shape)
        transfer = self._transfers.send(
            [clip.frames for clip in clips], lambda frames: self._compute(frames.view(shape))
        )
        return SentBatch(clips, transfer, lambda arrays: self._read(clips, arrays))

    def _compute(self, frames: Tensor) -> Sequence[Tensor]:
        return self._graphs.run("window", self._forward, frames)

    def _forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Compute what results are made of, from frames uint8 [N,L,3,h,w].

        Returns:
            Logits [N,C], indices of the chosen classes [N,K], their heat [N,K,L',h,w], and the mean of the heat over
            all classes [N,L',h,w].
        """
        output = self.runner.forward(frames)
        # Classes are chosen on the device, so that the heat of the others need not cross the bus.
        chosen = choose_classes(output.logits, top_k=self._top_k, classes=self._classes)
        rows = torch.arange(len(chosen), device=chosen.device)
        return output.logits, chosen, output.cube[rows[:, None], chosen], output.cube.mean(1)

    def _read(self, clips: Sequence[Clip], arrays: Arrays) -> list[Heat]:
        logits, chosen, cubes, common = arrays
        slice_frames = self.runner.spec.slice_frames(cubes.shape[2])
        times = [heat_times(clip, slice_frames) for clip in clips]
        return to_heats(logits, chosen, cubes, common, clips=clips, times=times, context=self.runner.context)
