"""The reference engine: the network sees every clip whole."""

from collections.abc import Sequence

import numpy as np
import torch

from streamcam.cam import choose, to_heat
from streamcam.engines.device import Runner
from streamcam.engines.pending import Done
from streamcam.records import Clip, Heat


class WindowEngine:
    """Clips → heat, one forward for each clip; right for every model."""

    name = "window"
    head_start = False
    in_flight = 1

    def __init__(self, runner: Runner, *, top_k: int = 5, classes: Sequence[int] | None = None) -> None:
        self.runner, self._top_k, self._classes = runner, top_k, classes
        self.max_batch, self.hop = runner.max_batch, runner.spec.temporal_stride
        clip_format = runner.spec.clip_format
        self.lookahead_s = runner.spec.window_lookahead_s
        runner.run([np.zeros((clip_format.length, 3, *clip_format.crop), np.uint8)])  # warm up

    def infer(self, clips: Sequence[Clip]) -> list[Heat]:
        """The heat of each clip, in order; the clips, of any sources, are one batch."""
        return [heat for heat in self.submit(clips).wait() if heat is not None]

    @torch.inference_mode()
    def submit(self, clips: Sequence[Clip]) -> Done:
        """Begin with clips; the heat of each, in order, is what is to be waited for."""
        output = self.runner.run([clip.frames for clip in clips])
        cubes, logits = output.cube, output.logits
        slice_frames = self.runner.spec.slice_frames(cubes.shape[2])
        heats = []
        for clip, clip_logits, cube in zip(clips, logits, cubes, strict=True):
            chosen = choose(clip_logits, top_k=self._top_k, classes=self._classes)
            heat = to_heat(
                clip_logits,
                cube[chosen],
                cube.mean(0),
                chosen,
                clip=clip,
                context=self.runner.context,
                slice_frames=slice_frames,
            )
            heats.append(heat)
        return Done(heats)
