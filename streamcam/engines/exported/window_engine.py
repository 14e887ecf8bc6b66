"""Whole clips, computed by an exported graph."""

from collections.abc import Sequence

from streamcam.engines.exported.engine import GraphEngine, GraphRunner, in_groups, size_of
from streamcam.engines.exported.graph import Request
from streamcam.heat.results import heat_times
from streamcam.records import Clip, Heat


class GraphWindowEngine(GraphEngine):
    """An engine that computes every clip whole, several side by side."""

    name = "window"
    head_start = False

    def __init__(self, runner: GraphRunner, *, top_k: int = 5, classes: Sequence[int] | None = None) -> None:
        super().__init__(runner, top_k=top_k, classes=classes)
        self.hop, self.lookahead_s = runner.spec.temporal_stride, runner.spec.window_lookahead_s
        self._requests: dict[tuple[int, int], list[Request]] = {}

    def infer(self, clips: Sequence[Clip]) -> list[Heat | None]:
        """Compute the heat of each clip, in order."""
        heats: list[Heat | None] = []
        for group in in_groups(clips, self.runner.requests):
            requests = [self._request(i, size_of(clip)) for i, clip in enumerate(group)]
            for request, clip in zip(requests, group, strict=True):
                request.start(clip.frames)
            for request, clip in zip(requests, group, strict=True):
                slices = request.wait()
                times = heat_times(clip, self.runner.spec.slice_frames(slices.cube.shape[1]))
                heats.append(self._heat(clip, slices, times))
        return heats

    def _request(self, i: int, size: tuple[int, int]) -> Request:
        requests = self._requests.setdefault(size, [])
        if i == len(requests):
            requests.append(self._compiled_for(size).request())
        return requests[i]
