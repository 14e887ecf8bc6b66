"""What both engines have in common: batches are sent to a device, and their heat is read when it has come back."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamcam.engines.device.cuda_graphs import GraphCache, bucket
from streamcam.engines.device.runner import Runner
from streamcam.engines.device.streams import SkippedError, explained, is_out_of_memory
from streamcam.engines.device.transfers import Arrays, Transfer, TransferRing
from streamcam.records import Clip, Heat


@dataclass(frozen=True, slots=True)
class Sent:
    """A batch on its way."""

    clips: Sequence[Clip]
    transfer: Transfer
    read: Callable[[Arrays], Sequence[Heat | None]]
    """What came back → the heat of each clip."""


class Flight:
    """Some batches that were handed to an engine together."""

    def __init__(self, engine: "DeviceEngine", parts: Sequence[Sent]) -> None:
        self._engine, self._parts = engine, parts
        self._heats: list[Heat | None] | None = None

    def done(self) -> bool:
        """Whether `wait` would return at once (or has to do some of it again)."""
        return all(part.transfer.done() for part in self._parts)

    def wait(self) -> Sequence[Heat | None]:
        """The heat of each clip, in order; None for a clip that is not full yet.

        Raises:
            LostError: the device has failed.
            StreamcamError: it has not enough memory for a single clip.
            whatever else was raised on the way.
        """
        if self._heats is None:
            self._heats = [heat for part in self._parts for heat in self._engine.landed(part)]
        return self._heats


class DeviceEngine(ABC):
    """An engine, as far as batches go that it sends to its device.

    A batch that does not fit into the device's memory is done again in halves, and so are all that come after it.
    """

    def __init__(self, runner: Runner, *, max_batch: int) -> None:
        self.runner = runner
        self.max_batch = max_batch
        """How many clips it takes at once."""
        self.in_flight = runner.streams.slots
        """How many batches are worth handing over before the first has come back."""
        self._transfers, self._graphs = TransferRing(runner.streams), GraphCache(runner.streams)

    def weight(self, _clip: Clip) -> int:
        """How many of `max_batch` a clip counts for."""
        return 1

    def submit(self, clips: Sequence[Clip]) -> Flight:
        """Begin with clips; those of what is submitted first are computed first."""
        return Flight(self, [self._send(part) for part in self._parted(clips)])

    def result(self, transfer: Transfer) -> Arrays:
        """What comes back of a trip, for which the host waits.

        Raises:
            LostError: the device has failed.
            StreamcamError: it has not enough memory.
            whatever else was raised on the way.
        """
        try:
            return transfer.wait()
        except Exception as e:
            raise self._explained(e, "frames") from e

    def _explained(self, error: Exception, what: str) -> Exception:
        return explained(error, self.runner.device_name, f"{what} of {self.runner.spec.name}")

    def landed(self, sent: Sent) -> Sequence[Heat | None]:
        """The heat of a batch, for which the host waits.

        Raises:
            LostError: the device has failed.
            StreamcamError: it has not enough memory for a single clip.
            whatever else was raised on the way.
        """
        try:
            return sent.read(sent.transfer.wait())
        except SkippedError:
            pass
        except Exception as e:
            if not is_out_of_memory(e) or len(sent.clips) == 1:
                raise self._explained(e, "a single clip") from e
            self.max_batch = min(self.max_batch, bucket(len(sent.clips)) // 2)
            self._graphs.clear()
            self.runner.streams.release()
        self._forget(sent.clips)
        return self.submit(sent.clips).wait()

    def _parted(self, clips: Sequence[Clip]) -> list[Sequence[Clip]]:
        """Batches that can be sent as they are."""
        return [clips[i : i + self.max_batch] for i in range(0, len(clips), self.max_batch)]

    @abstractmethod
    def _send(self, clips: Sequence[Clip]) -> Sent:
        """Send a batch."""

    def _forget(self, _clips: Sequence[Clip]) -> None:  # noqa: B027
        """Clips failed on their way, and will be sent again: nothing may be left of them."""
