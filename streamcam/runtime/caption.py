"""The caption of a live overlay: how fast the source is, and how old its heat."""

import time

from streamcam.metrics import Metrics
from streamcam.records import Result
from streamcam.render.canvas import Caption
from streamcam.render.text import heat_age


class LiveCaption:
    """Makes the caption of a result from the run's metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def __call__(self, result: Result) -> Caption:
        """Give the source's name and frame rate, and notes on age, latency and drops."""
        frame = result.frame
        drops = sum(result.drops.values())
        latency_ms = (time.time_ns() - frame.captured_ns) / 1e6
        hop_s = self._metrics.wide_hop_s(frame.source)
        behind = () if hop_s is None else (f"cannot keep up: a window every {hop_s:.2f} s",)
        return Caption(
            f"{frame.source}  {self._metrics.fps(frame.source):.0f} fps",
            (heat_age(result.heat_age_s), f"latency {latency_ms:.0f} ms, {drops} dropped", *behind),
        )
