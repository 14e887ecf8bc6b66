"""What both engines share: they send batches to a device, and read the heat when it has come back."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from streamcam.engines.base import BatchFuture
from streamcam.engines.device.cuda_graphs import GraphCache, bucket
from streamcam.engines.device.errors import SkippedError, explain_error, is_out_of_memory
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.device.transfers import Arrays, Transfer, TransferRing
from streamcam.records import Clip, Heat


def _shape(clip: Clip) -> tuple[int, ...]:
    return clip.frames.shape[1:]


def _by_shape(clips: Sequence[Clip]) -> list[int]:
    """Order the numbers of clips so that those of one shape lie side by side, the first clip's shape first."""
    shapes = list(dict.fromkeys(map(_shape, clips)))
    return sorted(range(len(clips)), key=lambda i: shapes.index(_shape(clips[i])))


@dataclass(frozen=True, slots=True)
class SentBatch:
    """A batch that is on the device, or on its way there."""

    clips: Sequence[Clip]
    transfer: Transfer
    read: Callable[[Arrays], Sequence[Heat | None]]
    """Makes the heat of each clip from the arrays that come back."""


class DeviceEngine(ABC):
    """An engine whose batches are computed on a device.

    A batch that does not fit into the device's memory is computed again in halves. So are all later ones.
    """

    def __init__(self, runner: TorchRunner, *, max_batch: int) -> None:
        """Take a runner, and how many clips go to its device at once."""
        self.runner, self.max_batch = runner, max_batch
        self.in_flight = runner.streams.slots
        self._transfers, self._graphs = TransferRing(runner.streams), GraphCache(runner.streams)

    def weight(self, _clip: Clip) -> int:
        """Return how many of `max_batch` a clip counts for."""
        return 1

    def submit(self, clips: Sequence[Clip]) -> BatchFuture:
        """Begin with clips. Batches are computed in the order in which they are submitted."""
        order = _by_shape(clips)
        batches = [self._send(part) for part in self._split([clips[i] for i in order])]

        def wait() -> list[Heat | None]:
            heats = dict(zip(order, (heat for batch in batches for heat in self._heats_of(batch)), strict=True))
            return [heats[i] for i in range(len(clips))]

        return BatchFuture(done=lambda: all(batch.transfer.done() for batch in batches), wait=wait)

    def result(self, transfer: Transfer) -> Arrays:
        """Wait for the arrays that a transfer brings back.

        Raises:
            LostError: the device has failed.
            StreamcamError: the device has not enough memory.
            Exception: whatever else was raised while it computed.
        """
        try:
            return transfer.wait()
        except Exception as e:
            raise self._explain(e, "frames") from e

    def _heats_of(self, batch: SentBatch) -> Sequence[Heat | None]:
        """Wait for the heat of a batch; compute it again in halves, if it did not fit into the device's memory."""
        try:
            return batch.read(batch.transfer.wait())
        except SkippedError:
            pass  # an earlier batch of the same sources failed, so this one was not computed
        except Exception as e:
            if not is_out_of_memory(e) or len(batch.clips) == 1:
                raise self._explain(e, "a single clip") from e
            # The graph for the batch's size has not fitted, so the next smaller one is tried. Its memory is free only
            # when all graphs are gone, since they share one pool.
            self.max_batch = min(self.max_batch, bucket(len(batch.clips)) // 2)
            self._graphs.clear()
            self.runner.streams.empty_cache()
        self._drop_state(batch.clips)
        return self.submit(batch.clips).wait()

    def _explain(self, error: Exception, what: str) -> Exception:
        return explain_error(error, self.runner.device_name, f"{what} of {self.runner.spec.name}")

    def _split(self, clips: Sequence[Clip]) -> list[Sequence[Clip]]:
        """Split clips, of which those of one shape lie side by side, into batches that can be sent as they are."""
        alike = [list(group) for _, group in groupby(clips, key=_shape)]
        return [group[i : i + self.max_batch] for group in alike for i in range(0, len(group), self.max_batch)]

    @abstractmethod
    def infer(self, clips: Sequence[Clip]) -> Sequence[Heat | None]:
        """Compute the heat of each clip, in order, and wait for it; None for a clip that is not full yet."""

    @abstractmethod
    def _send(self, clips: Sequence[Clip]) -> SentBatch:
        """Send a batch to the device."""

    def _drop_state(self, _clips: Sequence[Clip]) -> None:  # noqa: B027
        """Drop the state of clips whose batch failed. They are sent again."""
