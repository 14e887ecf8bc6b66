"""The interface for Python programs: `stream` gives results to a loop."""

import logging
from collections.abc import Generator, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

from streamcam.config.load import make_config
from streamcam.errors import StreamcamError
from streamcam.metrics import Metrics
from streamcam.records import Result
from streamcam.runtime.app import Live, assemble, run
from streamcam.runtime.queues import SourceQueue
from streamcam.sinks.base import Sink
from streamcam.sources.status import SourceStatus

if TYPE_CHECKING:
    from streamcam.models.base import CamModel

log = logging.getLogger(__name__)


def stream(*sources: str | int | Path | dict[str, Any], model: "str | CamModel" = "motion", **options: Any) -> "Stream":
    """Watch sources, and give a result with frame and heat for each window.

        for result in streamcam.stream("rtsp://camera/live"):
            print(result.frame.pts_s, result.heat.labels[0], result.heat.scores[0])

    A loop that is slower than live sources gets the newest result each time. The others are dropped, and counted in
    `result.drops`. With `as_fast_as_possible=True`, which is for files, the loop gets every result.

    A camera that is lost is tried again for ever, and gives no results meanwhile. `Stream.status` and `logging` say
    why.

    Args:
        sources: a camera number, /dev/video0, rtsp://…, http://…, a file, lavfi:… or sample, as for `streamcam run`.
        model: the name of a model, the path of a checkpoint, or a model that is loaded already.
        options: the other keys of `RunConfig`. The network: weights, engine, backend, device, precision, window, hop,
            fps, dense. The sources: decode, rtsp_transport, video_stream, levels, loop, as_fast_as_possible. The
            results: classes, top_k. The end: max_frames, seconds. Outputs beside the loop: bind (none by default),
            keys, record, save_heat, summary_json, metrics_bind, view.

    Raises:
        StreamcamError: a source cannot be opened, the model cannot be loaded, or an option is wrong. The loop raises it
            at its end if the sources gave frames but no window; the message says why.
    """
    name = model if isinstance(model, str) else model.spec.name
    config = make_config({"sources": list(sources), "model": name, "bind": "none", **options})
    collected = _Collect(lossless=config.as_fast_as_possible)
    with ExitStack() as stack:
        live = assemble(config, stack, model=None if isinstance(model, str) else model, sinks=[collected])
        collected.metrics = live.pipeline.metrics
        return Stream(live, collected, stack.pop_all())


class Stream(Iterator[Result]):
    """An iterator over the results of sources, which are watched while it lives.

    Threads, cameras and device are released when the sources end, at `close`, at the end of a `with` block, or when the
    iterator is garbage-collected. Any thread may read `status` and call `close`.
    """

    def __init__(self, live: Live, collected: "_Collect", stack: ExitStack) -> None:
        self._live, self._collected = live, collected
        # The generator holds no reference to this object. So when nobody holds this object any more, Python closes the
        # generator, whose `finally` stops the pipeline.
        self._results = _results(live, collected, stack)
        next(self._results)  # start the pipeline

    @property
    def status(self) -> dict[str, SourceStatus]:
        """By name, the status of each source: `kind` (connecting, live, stalled, lost, ended), and `reason`."""
        return {source.name: source.status for source in self._live.sources}

    def __next__(self) -> Result:
        """Wait for the next result.

        Raises:
            StopIteration: the sources have ended, or the stream is closed.
            Exception: whatever a part of the pipeline raised.
        """
        result = next(self._results)
        assert result is not None
        return result

    def close(self) -> None:
        """Stop watching. A loop in another thread ends soon after. Closing twice is fine."""
        self._live.pipeline.stop.set()
        self._collected.results.close(discard=True)
        with suppress(ValueError):  # another thread is inside the generator, and will end it
            self._results.close()

    def __enter__(self) -> Self:
        """Enter a `with` block, at whose end the stream is closed."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Collect(Sink):
    """A sink that passes results from the output thread to the loop of `stream`."""

    def __init__(self, *, lossless: bool) -> None:
        self.results: SourceQueue[Result] = SourceQueue(depth=1, lossless=lossless)
        self.metrics: Metrics | None = None

    def on_window(self, result: Result) -> None:
        # The queue holds one result of each source. What it drops, the loop was too slow for.
        if self.results.put(result.frame.source, result) is not None and self.metrics is not None:
            self.metrics.count_drop(result.frame.source, "consumer")


def _results(live: Live, collected: _Collect, stack: ExitStack) -> Generator[Result | None]:
    """Run the pipeline on a thread of its own, and yield its results.

    It yields None first. From then on the generator is inside of `try`, so that the pipeline is stopped whatever
    happens. The `finally` of a generator that was never started would not run.
    """
    errors: list[BaseException] = []

    def body() -> None:
        try:
            run(live)
            _report_missing_windows(live)
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


def _report_missing_windows(live: Live) -> None:
    """Raise an error if there was not a single result, and warn of each source that gave none.

    Otherwise a loop that got nothing would look as if there were nothing to see.
    """
    reasons = live.without_window().values()
    if reasons and not live.pipeline.metrics.results.total():
        raise StreamcamError("; ".join(reasons))
    for reason in reasons:
        log.warning(reason)
