"""A device whose queues are late. Each does its work in order, but only while somebody waits for an event."""

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from streamcam.engines.device.cuda_streams import WARM_UPS
from streamcam.engines.device.streams import CUDA_SLOTS, Event, Function, StreamKind, Work, attempt


class LateEvent(Event):
    """A point in a queue of `LateStreams`. Waiting for it does work of random queues until it has passed."""

    def __init__(self, streams: "LateStreams") -> None:
        self._streams, self.passed = streams, False

    def done(self) -> bool:
        self._streams.do_some()
        return self.passed

    def wait(self) -> None:
        while not self.passed:
            self._streams.step()
        super().wait()


@dataclass
class Queued:
    """Work in a queue."""

    work: Work
    after: Sequence[Event]
    event: LateEvent


@dataclass
class LateStreams:
    """A device that does nothing before it has to, and whose queues take turns at random.

    A host that reads too early reads what was in memory before. One that writes too early overwrites what has not been
    read. Memory "on the device" is separate, and buffers of the host hold 255 where nothing has been copied to them.
    """

    seed: int
    ordered: bool = True
    """Whether events hold work back. Without that, queues do not wait for each other: to test the tests."""
    slots: int = CUDA_SLOTS
    captures: bool = True
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    turns: list[StreamKind] = field(default_factory=list)
    """The queue of each piece of work that has been done, in order."""
    captured: int = 0
    """How many functions have been captured."""
    uploaded: int = 0
    """Bytes that were copied to the device."""
    cache_emptied: int = 0
    """How often the cache has been emptied."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._queues: dict[StreamKind, deque[Queued]] = {kind: deque() for kind in StreamKind}

    def enqueue(self, kind: StreamKind, work: Work, *, after: Sequence[Event] = ()) -> Event:
        event = LateEvent(self)
        self._queues[kind].append(Queued(work, after, event))
        return event

    def step(self) -> None:
        """Do the next work of any queue whose next work may be done."""
        ready = [kind for kind, queue in self._queues.items() if queue and self._may_go(queue[0])]
        assert ready, "everybody waits for everybody"
        kind = self._random.choice(ready)
        queued = self._queues[kind].popleft()
        queued.event.error = attempt(queued.work, queued.after)
        queued.event.passed = True
        self.turns.append(kind)

    def do_some(self) -> None:
        """Do none, one or two pieces of work, as if time went by."""
        for _ in range(self._random.randrange(3)):
            if any(self._queues.values()):
                self.step()

    def _may_go(self, queued: Queued) -> bool:
        return not self.ordered or all(isinstance(event, LateEvent) and event.passed for event in queued.after)

    def host_buffer(self, size: int) -> Tensor:
        return torch.full((size,), 255, dtype=torch.uint8)

    def upload(self, staged: Tensor) -> Tensor:
        self.uploaded += len(staged)
        return staged.clone()

    def index_tensor(self, values: Sequence[Sequence[int]]) -> Tensor:
        return torch.tensor(values)

    def capture(self, function: Function, inputs: Sequence[Tensor]) -> Callable[[], Sequence[Tensor]]:
        """Return a replay that writes to the tensors of the first run, as a graph does."""
        self.captured += 1
        for _ in range(WARM_UPS):
            outputs = [result.clone() for result in function(*inputs)]

        def replay() -> Sequence[Tensor]:
            for static, new in zip(outputs, function(*inputs), strict=True):
                static.copy_(new)
            return outputs

        return replay

    def empty_cache(self) -> None:
        self.cache_emptied += 1
