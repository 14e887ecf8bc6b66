"""A publisher whose cameras do what a test says, in a thread of its own.

with puppets("door", "yard") as cameras:
    cameras.endpoint
    cameras["door"].state = "lost"
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from streamcam.event import Event, EventState
from streamcam.records import Frame, Heat, Result, Transform
from streamcam.transport.publisher import Publisher
from tests.support.ports import unused_port
from tests.support.publish_demo import image_of, picture_of

FPS = 10
STATUS_EVERY = 5
"""Frames."""


@dataclass
class Puppet:
    """One camera: what its status says, and what its network sees."""

    name: str
    state: str = "live"
    reason: str | None = None
    classes: Mapping[str, float] = field(default_factory=lambda: {"teapot": 0.8, "kettle": 0.1})
    """Scores by class, the highest first."""
    dropped: int = 0
    lookahead_s: float = 0.0
    session: int = 0
    events: list[Event] = field(default_factory=list)
    """What is still to be sent."""

    def happen(self, rule: str, state: EventState = "start", *, zone: str | None = None) -> None:
        """Send a record of the only event of a rule."""
        self.events.append(
            Event(
                id=f"20261130T120000.000Z-{self.name}-{rule}",
                state=state,
                rule=rule,
                source=self.name,
                session=self.session,
                zone=zone,
                label=next(iter(self.classes)),
                start_pts_s=0.0,
                pts_s=1.0,
                start_ns=time.time_ns(),
                score=0.9,
                peak=0.9,
                peak_pts_s=0.5,
                scores=dict(self.classes),
            )
        )

    def result(self, index: int) -> Result:
        """Make the result of a frame: the strongest class is hot in the middle."""
        count, cells = len(self.classes), 7
        cube = np.zeros((count, 2, cells, cells), np.float32)
        cube[0, :, 3, 3] = 8.0
        pts_s = index / FPS
        heat = Heat(
            cube=cube,
            common=np.zeros((2, cells, cells), np.float32),
            classes=np.arange(count),
            labels=tuple(self.classes),
            scores=np.array(list(self.classes.values()), np.float32),
            logits=np.zeros(count, np.float32),
            scale=np.full(count, 8.0, np.float32),
            pts_s=np.array([pts_s - self.lookahead_s - 0.1, pts_s - self.lookahead_s]),
            clip_pts_s=(pts_s - self.lookahead_s - 0.2, pts_s),
            transform=Transform(),
            model="puppet",
            model_hash="0123",
            lookahead_s=self.lookahead_s,
        )
        frame = Frame(image_of(index), index, pts_s, time.time_ns(), self.name, session=self.session)
        return Result(frame, heat, {"infer": 1.5}, {"decode": self.dropped})


class Puppets(dict[str, Puppet]):
    """All cameras of the publisher, by name."""

    endpoint: str


@contextmanager
def puppets(*names: str, port: int | None = None) -> Iterator[Puppets]:
    """Publish these cameras until the block ends."""
    cameras, bound, stop = Puppets({name: Puppet(name) for name in names}), threading.Event(), threading.Event()
    endpoint = f"tcp://127.0.0.1:{unused_port() if port is None else port}"
    thread = threading.Thread(target=_publish, args=(endpoint, cameras, bound, stop))
    thread.start()
    try:
        assert bound.wait(20)
        cameras.endpoint = endpoint
        yield cameras
    finally:
        stop.set()
        thread.join()


def _publish(endpoint: str, cameras: Puppets, bound: threading.Event, stop: threading.Event) -> None:
    with Publisher(endpoint) as publisher:
        bound.set()
        index = 0
        while not stop.wait(1 / FPS):
            publisher.serve()
            publisher.send_directory(list(cameras))
            for camera in cameras.values():
                _publish_one(publisher, camera, index)
            index += 1


def _publish_one(publisher: Publisher, camera: Puppet, index: int) -> None:
    if camera.state == "live":
        result = camera.result(index)
        publisher.send_result(result)
        publisher.offer_picture("frame", result, picture_of)
    while camera.events:
        publisher.send_event(camera.events.pop(0))
    if index % STATUS_EVERY == 0:
        status = {"state": camera.state, "reason": camera.reason, "dropped_window": camera.dropped}
        publisher.send_status(camera.name, status)
