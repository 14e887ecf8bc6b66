"""Ten watchers of one camera, of which three are slow: scripts/web/peers.py starts it.

    python -m scripts.web.peer_clients ADDRESS [--fast 7] [--slow 3] [--seconds 10]

ADDRESS is that of a stream of pictures (multipart/x-mixed-replace), or of our WebSocket (ws://…). A slow one takes one
picture a second. It says `measuring` once all have been connected, and a line of JSON at its end.
"""

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

import cv2
import numpy as np

from scripts.benchmarks.transport_worker import BITS, TICK_NS
from scripts.web.client import ACKNOWLEDGE_S, connected
from streamcam.web.framing import unframe

START_S, WARM_UP_S = 15.0, 2.0
SLOW_S = 1.0
CAMERA = "cam1"
BEGIN, END = b"\xff\xd8", b"\xff\xd9"
"""Of a JPEG file. Its picture holds neither; nor does a file without a preview."""


def age_ms(jpeg: bytes, now_ns: int) -> float:
    """How old a picture is, by the squares on it: decoded at an eighth of its size, each is of two by two pixels."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
    assert picture is not None
    squares = picture[:2, : 2 * BITS].reshape(2, BITS, 2).mean((0, 2)) > 127
    sent = int((squares.astype(np.int64) << np.arange(BITS)).sum())
    return ((now_ns // TICK_NS) % (1 << BITS) - sent) * TICK_NS / 1e6


async def parts(address: str, pause_s: float) -> AsyncIterator[bytes]:
    """Yield the pictures of a stream over HTTP; rest after each."""
    url = urlsplit(address)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        target = f"{url.path}?{url.query}" if url.query else url.path
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode())
        buffer = b""
        while chunk := await reader.read(1 << 16):
            buffer += chunk
            while (end := buffer.find(END)) >= 0:
                yield buffer[buffer.find(BEGIN) : end + 2]
                buffer = buffer[end + 2 :]
                await asyncio.sleep(pause_s)
    finally:
        writer.close()


async def messages(address: str, pause_s: float) -> AsyncIterator[bytes]:
    """Yield the pictures that our WebSocket gives; rest after each, and acknowledge it then."""
    async with connected(address.replace("ws", "http", 1)) as socket:
        await socket.send(json.dumps({"want": {CAMERA: ["frame"]}}))
        async for message in socket:
            if isinstance(message, bytes):
                yield unframe(message)[3]
                await asyncio.sleep(pause_s or ACKNOWLEDGE_S)
                await socket.send(json.dumps({"got": [[CAMERA, "frame"]]}))


class Watcher:
    """One of them: the ages of what it gets."""

    def __init__(self, pictures: Callable[[str, float], AsyncIterator[bytes]], address: str, pause_s: float) -> None:
        """Begin to watch."""
        self.ages_ms: list[float] = []
        self.task = asyncio.create_task(self._run(pictures(address, pause_s)))

    async def _run(self, pictures: AsyncIterator[bytes]) -> None:
        async for jpeg in pictures:
            self.ages_ms.append(age_ms(jpeg, time.time_ns()))


async def main() -> None:
    """Watch, and say what came."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("--fast", type=int, default=7)
    parser.add_argument("--slow", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    pictures = messages if options.address.startswith("ws") else parts
    fast = [Watcher(pictures, options.address, 0.0) for _ in range(options.fast)]
    slow = [Watcher(pictures, options.address, SLOW_S) for _ in range(options.slow)]
    end_s = time.monotonic() + START_S
    while not all(watcher.ages_ms for watcher in (*fast, *slow)) and time.monotonic() < end_s:
        await asyncio.sleep(0.05)
    await asyncio.sleep(WARM_UP_S)
    for watcher in (*fast, *slow):
        watcher.ages_ms.clear()
    print("measuring", flush=True)
    await asyncio.sleep(options.seconds)
    came = {"fast": [w.ages_ms for w in fast], "slow": [w.ages_ms for w in slow]}
    print(json.dumps(came), flush=True)
    for watcher in (*fast, *slow):
        watcher.task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
