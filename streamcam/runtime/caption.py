"""The caption of a live overlay: the source, and how old the picture is."""

import time

from streamcam.metrics import Metrics
from streamcam.records import Result
from streamcam.render.canvas import Caption
from streamcam.render.text import heat_lag, picture_age


class LiveCaption:
    """Makes the caption of a result from the run's metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def __call__(self, result: Result) -> Caption:
        """Give the source's name, the picture's age, and a note on whatever is not as it should be."""
        frame = result.frame
        age_s = (time.time_ns() - frame.captured_ns) / 1e9
        hop_s = self._metrics.wide_hop_s(frame.source)
        behind = () if hop_s is None else (f"cannot keep up: a window every {hop_s:.2f} s",)
        return Caption(frame.source, (picture_age(age_s), *heat_lag(result.heat_age_s), *behind))
