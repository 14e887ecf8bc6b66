"""A publisher or a subscriber of one of the tools, in a process of its own. Lines of JSON tell it what to do.

Every picture carries the time at which it was sent, as a row of black and white squares that survive JPEG. All tools
are thus measured by the same clock: from `send` until the receiving program has the decoded picture.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.resources import files
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

BITS, SQUARE, TICK_NS = 40, 16, 10_000
"""A stamp: so many squares of so many pixels, which count ticks of so many nanoseconds. It wraps after 127 days."""

QUALITY = 85
"""Of JPEG, for all: streamcam's own."""


def stamp(picture: Picture, now_ns: int) -> None:
    """Write a time into the first rows of a picture [H,W≥640,3]."""
    bits = (now_ns // TICK_NS >> np.arange(BITS)) & 1
    picture[:SQUARE, : BITS * SQUARE] = (np.repeat(bits, SQUARE) * 255).astype(np.uint8)[:, None]


def age_ms(picture: Picture, now_ns: int) -> float:
    """How long ago a picture was stamped."""
    squares = picture[:SQUARE, : BITS * SQUARE, 1].reshape(SQUARE, BITS, SQUARE).mean((0, 2)) > 127
    sent = int((squares.astype(np.int64) << np.arange(BITS)).sum())
    return ((now_ns // TICK_NS) % (1 << BITS) - sent) * TICK_NS / 1e6


class Streamcam:
    """`Publisher.offer_picture` and `Subscriber`."""

    def publisher(self, ports: list[int]) -> Callable[[Picture], None]:
        """A function that sends an RGB picture."""
        from streamcam.records import Frame, Result
        from streamcam.transport.publisher import Publisher

        publisher = Publisher(f"tcp://127.0.0.1:{ports[0]}")
        publisher.send_directory(["cam"])

        def send(picture: Picture) -> None:
            publisher.serve()
            publisher.offer_picture("frame", Result(Frame(picture, 0, 0.0, time.time_ns(), "cam")), lambda _: picture)

        return send

    def pictures(self, ports: list[int], _number: int) -> Iterator[Picture]:
        """Pictures as they come."""
        from streamcam.transport.subscriber import Subscriber

        with Subscriber(f"tcp://127.0.0.1:{ports[0]}", kinds=("frame",), sources=["cam"]) as subscriber:
            for result in subscriber:
                yield result.frame.pixels


class ImageZmq:
    """`ImageSender` and `ImageHub` in their PUB/SUB mode, with JPEG by OpenCV as the package's examples do it."""

    def publisher(self, ports: list[int]) -> Callable[[Picture], None]:
        """A function that sends a BGR picture."""
        import imagezmq

        sender = imagezmq.ImageSender(f"tcp://127.0.0.1:{ports[0]}", REQ_REP=False)

        def send(picture: Picture) -> None:
            sender.send_jpg("cam", cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1])

        return send

    def pictures(self, ports: list[int], _number: int) -> Iterator[Picture]:
        """Pictures as they come."""
        import imagezmq

        hub = imagezmq.ImageHub(f"tcp://127.0.0.1:{ports[0]}", REQ_REP=False)
        while True:
            _, jpeg = hub.recv_jpg()
            yield np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


class NetGearTool:
    """`NetGear` in its PUB/SUB pattern, with its own JPEG; in its multi-client mode each has a port."""

    def publisher(self, ports: list[int]) -> Callable[[Picture], None]:
        """A function that sends a BGR picture."""
        several = {"multiclient_mode": True} if len(ports) > 1 else {}
        send: Callable[[Picture], None] = self._gear(ports if several else ports[0], False, several).send
        return send

    def pictures(self, ports: list[int], number: int) -> Iterator[Picture]:
        """Pictures as they come."""
        several = {"multiclient_mode": True} if len(ports) > 1 else {}
        gear = self._gear(ports[number], True, several)
        while (picture := gear.recv()) is not None:
            yield picture

    def _gear(self, port: int | list[int], receives: bool, options: dict[str, Any]) -> Any:
        from vidgear.gears import NetGear

        # Its annotations know neither a list of ports nor that options of its own are plain numbers.
        more: dict[str, Any] = {
            "port": [str(p) for p in port] if isinstance(port, list) else str(port),
            "jpeg_compression_quality": QUALITY,
        }
        return NetGear(
            address="127.0.0.1",
            protocol="tcp",
            pattern=2,
            receive_mode=receives,
            **more,
            **options,
        )


class Tool(Protocol):
    """A library that sends pictures."""

    def publisher(self, ports: list[int]) -> Callable[[Picture], None]:
        """Return a function that sends a BGR picture."""
        ...

    def pictures(self, ports: list[int], number: int, /) -> Iterator[Picture]:
        """Yield pictures as they come."""
        ...


TOOLS: dict[str, Callable[[], Tool]] = {"streamcam": Streamcam, "imagezmq": ImageZmq, "vidgear NetGear": NetGearTool}


def publish(tool: str, ports: list[int]) -> None:
    """Do as each line says: {"size": [w, h], "seconds": s, "fps": n or null}; null is as fast as it goes."""
    send = TOOLS[tool]().publisher(ports)
    picture = sample()
    print("{}", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        resized = np.asarray(cv2.resize(picture, order["size"]), np.uint8)
        print(json.dumps(flow(send, resized, order["seconds"], order["fps"])), flush=True)


def flow(send: Callable[[Picture], None], picture: Picture, seconds: float, fps: float | None) -> dict[str, float]:
    """Send for a while: how many frames, and the processor time that each took."""
    begin_s, cpu_s, sent = time.perf_counter(), time.process_time(), 0
    while (gone_s := time.perf_counter() - begin_s) < seconds:
        if fps is not None and (wait_s := sent / fps - gone_s) > 0:
            time.sleep(wait_s)
        stamp(picture, time.monotonic_ns())
        send(picture)
        sent += 1
    used_s = time.process_time() - cpu_s
    return {"sent": sent, "fps": sent / gone_s, "cpu_ms": used_s / sent * 1e3}


def subscribe(tool: str, ports: list[int], number: int) -> None:
    """Receive for ever; each line asks for the ages, in milliseconds, of what has come since the last."""
    ages: list[float] = []
    threading.Thread(target=answer, args=(ages,), daemon=True).start()
    for picture in TOOLS[tool]().pictures(ports, number):
        ages.append(age_ms(picture, time.monotonic_ns()))  # noqa: PERF401 (the other thread empties it meanwhile)


def answer(ages: list[float]) -> None:
    """Tell what has come; end the process where nobody asks any more."""
    print("{}", flush=True)
    for _ in sys.stdin:
        count = len(ages)
        print(json.dumps({"ages_ms": [round(age, 3) for age in ages[:count]]}), flush=True)
        del ages[:count]
    os._exit(0)


def sample() -> Picture:
    """A picture of the clip that comes along."""
    path = str(files("streamcam") / "data" / "sample.mp4")
    return np.asarray(cv2.VideoCapture(path).read()[1], np.uint8)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    given_tool, role, *rest = sys.argv[1:]
    with suppress(KeyboardInterrupt, BrokenPipeError):
        if role == "publisher":
            publish(given_tool, json.loads(rest[0]))
        else:
            subscribe(given_tool, json.loads(rest[0]), int(rest[1]))
