"""For Python programs: `stream` gives results to a loop."""

import logging
from collections.abc import Generator, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread
from typing import Any, Self

from streamcam.config import make_config
from streamcam.errors import StreamcamError
from streamcam.metrics import Metrics
from streamcam.models.base import CamModel
from streamcam.records import Result
from streamcam.runtime.app import Live, assemble, run
from streamcam.runtime.queues import SourceQueue
from streamcam.sinks.base import Sink
from streamcam.sources.status import SourceStatus

log = logging.getLogger(__name__)


def stream(*sources: str | int | Path | dict[str, Any], model: str | CamModel = "motion", **options: Any) -> "Stream":
    """Watch sources from Python: one result for each window, with its frame and heat.

        for result in streamcam.stream("rtsp://camera/live"):
            print(result.frame.pts_s, result.heat.labels[0], result.heat.scores[0])

    Live, a slow loop is given the newest result and the others are dropped and counted in `result.drops`; with
    `as_fast_as_possible=True` (files) it is given every one.

    A camera that is lost is tried for ever, meanwhile without results: `status` says why, and so does `logging`.

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
    collected = _Collect(lossless=config.as_fast_as_possible)
    with ExitStack() as stack:
        live = assemble(config, stack, model=None if isinstance(model, str) else model, sinks=[collected])
        collected.metrics = live.pipeline.metrics
        return Stream(live, collected, stack.pop_all())


class Stream(Iterator[Result]):
    """Results of sources that are being watched, until it is closed, left by its loop, or at its end.

    Threads, cameras and device are let go then; `with` does that as well. Any thread may ask for `status` and close.
    """

    def __init__(self, live: Live, collected: "_Collect", stack: ExitStack) -> None:
        self._live, self._collected = live, collected
        # It holds no reference to this object, so that it ends with it.
        self._results = _results(live, collected, stack)
        next(self._results)

    @property
    def status(self) -> dict[str, SourceStatus]:
        """How each source fares, by its name: `kind` (connecting, live, stalled, lost, ended), and `reason`."""
        return {source.name: source.status for source in self._live.sources}

    def __next__(self) -> Result:
        """The next result, waited for.

        Raises:
            StopIteration: the sources have ended, or it is closed.
            whatever a part of the pipeline raised.
        """
        result = next(self._results)
        assert result is not None
        return result

    def close(self) -> None:
        """End it; a loop in another thread ends soon after. Closing twice is fine."""
        self._live.pipeline.stop.set()
        self._collected.results.close(discard=True)
        with suppress(ValueError):  # another thread is waiting for a result, and lets go of everything itself
            self._results.close()

    def __enter__(self) -> Self:
        """For `with`, at whose end it is closed."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Collect(Sink):
    """Hands results to the loop of `stream`."""

    def __init__(self, *, lossless: bool) -> None:
        self.results: SourceQueue[Result] = SourceQueue(depth=1, lossless=lossless)
        self.metrics: Metrics | None = None

    def on_window(self, result: Result) -> None:
        if self.results.put(result.frame.source, result) is not None and self.metrics is not None:
            self.metrics.dropped(result.frame.source, "consumer")


def _results(live: Live, collected: _Collect, stack: ExitStack) -> Generator[Result | None]:
    """Run it on a thread of its own. None comes first, when it runs: from then on it is let go whatever happens."""
    errors: list[BaseException] = []

    def body() -> None:
        try:
            run(live)
            _tell_of_no_window(live)
        except BaseException as e:
            errors.append(e)
        finally:
            collected.results.close()

    thread = Thread(target=body, daemon=True, name="pipeline")
    with stack:
        thread.start()
        try:
            yield None
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


def _tell_of_no_window(live: Live) -> None:
    """A loop that was given nothing must not look as if there were nothing to see."""
    without = live.without_window()
    if without and not live.pipeline.metrics.results.total():
        raise StreamcamError("; ".join(without.values()))
    for why in without.values():
        log.warning(why)
