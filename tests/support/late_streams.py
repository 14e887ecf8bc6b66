"""A device whose CUDA streams are late.

Each stream does its work in order, at a time drawn by chance, and only when somebody waits for it.
"""

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
    """Streams that take turns in an order drawn by chance, and do nothing before it has to be done.

    A host that reads before it waits gets old data. A host that writes too early overwrites data that has not been
    read. Memory "on the device" is separate from the host's, and poisoned where nothing has been copied to it.
    """

    seed: int
    ordered: bool = True
    """Whether work waits for the events it was given. False is for tests of tests: streams then run in any order."""
    slots: int = CUDA_SLOTS
    captures: bool = True
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    did: list[StreamKind] = field(default_factory=list)
    """The stream of each piece of work that was done, in order."""
    captured: int = 0
    uploaded: int = 0
    """Bytes copied from the host to the device."""
    released: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._queues: dict[StreamKind, deque[Queued]] = {kind: deque() for kind in StreamKind}

    def put(self, kind: StreamKind, work: Work, *, after: Sequence[Event] = ()) -> Event:
        event = LateEvent(self)
        self._queues[kind].append(Queued(work, after, event))
        return event

    def step(self) -> None:
        """Do one piece of work, of any stream that has work and need not wait."""
        ready = [kind for kind, queue in self._queues.items() if queue and self._may_go(queue[0])]
        assert ready, "everybody waits for everybody"
        kind = self._random.choice(ready)
        queued = self._queues[kind].popleft()
        queued.event.error = attempt(queued.work, queued.after)
        queued.event.passed = True
        self.did.append(kind)

    def some(self) -> None:
        """Do up to two pieces of work, as a device does while time goes by."""
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
        """Capture a function. As with a CUDA graph, every replay writes its results into the same tensors."""
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
