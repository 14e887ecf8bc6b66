"""A device whose lanes are late: each does its work in order, but when it likes, and only as far as somebody waits."""

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from streamcam.engines.device.streams import CUDA_SLOTS, WARM_UPS, Event, Function, StreamKind, Work, attempt


class LateEvent(Event):
    def __init__(self, streams: "LateStreams") -> None:
        self._streams, self.passed = streams, False

    def done(self) -> bool:
        self._streams.some()
        return self.passed

    def wait(self) -> None:
        while not self.passed:
            self._streams.step()
        super().wait()


@dataclass
class Queued:
    work: Work
    after: Sequence[Event]
    event: LateEvent


@dataclass
class LateStreams:
    """In what order lanes take turns is drawn by chance, and nothing is done before it has to be.

    A host that reads before it waits reads what was there before; one that writes too early writes over what has not
    been read. What is "on the device" is memory of its own, poisoned where nothing has been copied to it.
    """

    seed: int
    ordered: bool = True
    """Whether events hold work back. Without, the order between lanes is anybody's: for tests of tests."""
    slots: int = CUDA_SLOTS
    captures: bool = True
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    did: list[StreamKind] = field(default_factory=list)
    """Whose turn it was."""
    captured: int = 0
    uploaded: int = 0
    """Bytes that crossed the bus on the way in."""
    released: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._queues: dict[StreamKind, deque[Queued]] = {kind: deque() for kind in StreamKind}

    def put(self, kind: StreamKind, work: Work, *, after: Sequence[Event] = ()) -> Event:
        event = LateEvent(self)
        self._queues[kind].append(Queued(work, after, event))
        return event

    def step(self) -> None:
        """Do one piece of work, of any lane that has some and may go on."""
        ready = [kind for kind, queue in self._queues.items() if queue and self._may_go(queue[0])]
        assert ready, "everybody waits for everybody"
        kind = self._random.choice(ready)
        queued = self._queues[kind].popleft()
        queued.event.error = attempt(queued.work, queued.after)
        queued.event.passed = True
        self.did.append(kind)

    def some(self) -> None:
        """Time goes by."""
        for _ in range(self._random.randrange(3)):
            if any(self._queues.values()):
                self.step()

    def _may_go(self, queued: Queued) -> bool:
        return not self.ordered or all(isinstance(event, LateEvent) and event.passed for event in queued.after)

    def host(self, size: int) -> Tensor:
        return torch.full((size,), 255, dtype=torch.uint8)

    def upload(self, staged: Tensor) -> Tensor:
        self.uploaded += len(staged)
        return staged.clone()

    def numbers(self, values: Sequence[Sequence[int]]) -> Tensor:
        return torch.tensor(values)

    def capture(self, function: Function, inputs: Sequence[Tensor]) -> Callable[[], Sequence[Tensor]]:
        """As a graph does, results come to where they came the first time."""
        self.captured += 1
        for _ in range(WARM_UPS):
            outputs = [result.clone() for result in function(*inputs)]

        def replay() -> Sequence[Tensor]:
            for static, new in zip(outputs, function(*inputs), strict=True):
                static.copy_(new)
            return outputs

        return replay

    def release(self) -> None:
        self.released += 1
