"""For Python programs: `stream` gives results to a loop."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from threading import Thread
from typing import Any

from streamcam.config import make_config
from streamcam.errors import StreamcamError
from streamcam.handoff import Handoff
from streamcam.live import Live, assemble, run
from streamcam.metrics import Metrics
from streamcam.models import CamModel
from streamcam.pipeline import Sink
from streamcam.records import Result

log = logging.getLogger(__name__)


def stream(*sources: str | int, model: str | CamModel = "motion", **options: Any) -> Iterator[Result]:
    """Watch sources from Python: one result for each window, with its frame and heat.

        for result in streamcam.stream("rtsp://camera/live"):
            print(result.frame.pts_s, result.heat.labels[0], result.heat.scores[0])

    Live, a slow loop is given the newest result and the others are dropped and counted in `result.drops`; with
    `as_fast_as_possible=True` (files) it is given every one.

    Args:
        sources: as for `streamcam run`.
        model: a name, or a model that is loaded already.
        options: the other keys of `RunConfig`: device, precision, window, hop, fps, classes, top_k, …

    Raises:
        StreamcamError: a source or the model cannot be had, or an option is wrong; or, at the end, the sources gave
            pictures and no window: the message says why.
    """
    name = model if isinstance(model, str) else model.spec.name
    config = make_config({"sources": list(sources), "model": name, "bind": "none", **options})
    with ExitStack() as stack:
        collected = _Collect(lossless=config.as_fast_as_possible)
        loaded = None if isinstance(model, str) else model
        live = assemble(config, stack, model=loaded, sinks=[collected])
        collected.metrics = live.pipeline.metrics
        yield from _results(live, collected)


class _Collect(Sink):
    """Hands results to the loop of `stream`."""

    def __init__(self, *, lossless: bool) -> None:
        self.results: Handoff[Result] = Handoff(depth=1, lossless=lossless)
        self.metrics: Metrics | None = None

    def on_window(self, result: Result) -> None:
        if self.results.put(result.frame.source, result) is not None and self.metrics is not None:
            self.metrics.dropped(result.frame.source, "consumer")


def _results(live: Live, collected: _Collect) -> Iterator[Result]:
    errors: list[BaseException] = []

    def body() -> None:
        try:
            run(live)
            _tell_fruitless(live)
        except BaseException as e:
            errors.append(e)
        finally:
            collected.results.close()

    thread = Thread(target=body, daemon=True, name="pipeline")
    thread.start()
    try:
        while not collected.results.finished:
            result = collected.results.get(timeout_s=0.1)
            if result is not None:
                yield result
    finally:
        live.pipeline.stop.set()
        collected.results.close(discard=True)
        thread.join()
    if errors:
        raise errors[0]


def _tell_fruitless(live: Live) -> None:
    """A loop that was given nothing must not look as if there were nothing to see."""
    without = live.fruitless()
    if without and not live.pipeline.metrics.results.total():
        raise StreamcamError("; ".join(without.values()))
    for why in without.values():
        log.warning(why)
