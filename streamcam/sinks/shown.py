"""Keeps the heat of the classes that are shown, where the network gave more."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from streamcam.records import Heat, Result
from streamcam.sinks.base import Sink


class ShownClassesSink(Sink):
    """Passes results on with fewer classes: rules for events need all, and watchers the strongest."""

    def __init__(self, sinks: Sequence[Sink], *, top_k: int, classes: Sequence[int] | None) -> None:
        """Take the sinks that watch.

        Args:
            sinks: get everything, in this order.
            top_k: how many classes to keep, the strongest first.
            classes: keep exactly these, if they are given.
        """
        self._sinks, self._top_k = sinks, top_k
        self._classes = None if classes is None else np.asarray(classes)
        self._last: dict[str, tuple[Heat, Heat]] = {}
        """By source: the last heat, and what was kept of it. Several results carry the same heat."""

    def on_frame(self, result: Result) -> None:
        """Pass a frame on."""
        kept = self._kept(result)
        for sink in self._sinks:
            sink.on_frame(kept)

    def on_window(self, result: Result) -> None:
        """Pass a window on."""
        kept = self._kept(result)
        for sink in self._sinks:
            sink.on_window(kept)

    def tick(self) -> None:
        """Pass the tick on."""
        for sink in self._sinks:
            sink.tick()

    def _kept(self, result: Result) -> Result:
        heat, source = result.heat, result.frame.source
        if heat is None:
            return result
        if source not in self._last or self._last[source][0] is not heat:
            self._last[source] = heat, self._fewer(heat)
        return replace(result, heat=self._last[source][1])

    def _fewer(self, heat: Heat) -> Heat:
        """Keep some classes of a heat, which come with the strongest first."""
        if self._classes is None:
            rows = np.arange(min(self._top_k, len(heat.classes)))
        else:
            rows = np.flatnonzero(np.isin(heat.classes, self._classes))
        return replace(
            heat,
            cube=heat.cube[rows],
            classes=heat.classes[rows],
            labels=tuple(heat.labels[k] for k in rows),
            scores=heat.scores[rows],
            scale=None if heat.scale is None else heat.scale[rows],
        )
