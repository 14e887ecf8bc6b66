"""A way to a server that tests can cut, block, slow down, and tamper with."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, aclosing, contextmanager, suppress
from threading import Event, Thread

CHUNK = 4096
TICK_S = 0.02
GONE = (ConnectionError, asyncio.IncompleteReadError)

Chunks = AsyncGenerator[bytes, None]

Edit = Callable[[bytes], bytes | None]
"""An RTP packet → what goes on in its place; None for nothing."""


class Proxy:
    """Forwards TCP connections on 127.0.0.1:`port` to a server. Change its attributes as you like, from any thread."""

    def __init__(self, target: int, *, rtsp: bool) -> None:
        self.port = 0
        self.frozen = False
        """Whether nothing gets through, in new connections neither, though all stay open."""
        self.refusing = False
        """Whether new connections are closed at once."""
        self.bytes_per_s: float | None = None
        """How much gets through, of each connection and in each direction."""
        self.edit: Edit | None = None
        """What happens to the RTP packets of RTSP over TCP."""
        self.status: tuple[bytes, bytes] | None = None
        """Of RTSP's replies, what stands in the first line, and what is said instead."""
        self.accepted = 0
        """How many connections there have been."""
        self.answers = bytearray()
        """What the server has said, if it does not speak RTSP."""
        self._target, self._rtsp = target, rtsp
        self._loop = asyncio.new_event_loop()
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    @property
    def endpoint(self) -> str:
        """Where a ZeroMQ socket connects to."""
        return f"tcp://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """End all connections."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()

    async def _cut(self) -> None:
        for writer, task in list(self._connections.items()):
            writer.transport.abort()
            task.cancel()

    async def _serve(self, ready: Event, stop: asyncio.Event) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()
        await asyncio.sleep(0.05)  # who was let in a moment ago is among the connections then
        tasks = list(self._connections.values())
        await self._cut()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.refusing:
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._connections[writer] = task
        try:
            await self._connect(reader, writer)
        except (*GONE, asyncio.CancelledError):
            pass
        finally:
            self._connections.pop(writer)
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while self.frozen:
            await asyncio.sleep(TICK_S)
        answers, questions = await asyncio.open_connection("127.0.0.1", self._target)
        up = asyncio.create_task(self._pump(self._chunks(reader), questions))
        told = self._messages(answers) if self._rtsp else self._remembered(answers)
        down = asyncio.create_task(self._pump(told, writer))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            questions.close()

    async def _pump(self, chunks: Chunks, writer: asyncio.StreamWriter) -> None:
        with suppress(*GONE):
            async with aclosing(chunks):
                async for chunk in chunks:
                    await self._pass_on(chunk, writer)

    async def _pass_on(self, chunk: bytes, writer: asyncio.StreamWriter) -> None:
        while self.frozen:
            await asyncio.sleep(TICK_S)
        if self.bytes_per_s is not None:
            await asyncio.sleep(len(chunk) / self.bytes_per_s)
        writer.write(chunk)
        await writer.drain()

    async def _chunks(self, reader: asyncio.StreamReader) -> Chunks:
        while chunk := await reader.read(CHUNK):
            yield chunk

    async def _remembered(self, reader: asyncio.StreamReader) -> Chunks:
        while chunk := await reader.read(CHUNK):
            self.answers += chunk
            yield chunk

    async def _messages(self, reader: asyncio.StreamReader) -> Chunks:
        """What a server says: replies as they are, RTP packets as `edit` would have them, in their own time."""
        while first := await reader.read(1):
            if first != b"$":
                message = first + await reader.readline()
                if self.status is not None and message.startswith(b"RTSP/1.0 "):
                    message = message.replace(*self.status)
            else:
                channel, size = await reader.readexactly(1), int.from_bytes(await reader.readexactly(2))
                packet = await reader.readexactly(size)
                edited = self.edit(packet) if self.edit is not None and channel == b"\0" else packet
                message = b"" if edited is None else b"$" + channel + len(edited).to_bytes(2) + edited
            yield message


@contextmanager
def proxy(target: int, *, rtsp: bool = True) -> Iterator[Proxy]:
    """A proxy to 127.0.0.1:`target`; at the end, everything is cut. What is not RTSP cannot be edited."""
    made = Proxy(target, rtsp=rtsp)
    ready, stop = Event(), asyncio.Event()

    def body() -> None:
        made._loop.run_until_complete(made._serve(ready, stop))
        made._loop.close()

    thread = Thread(target=body, name="proxy")
    thread.start()
    try:
        ready.wait(10)
        yield made
    finally:
        made._loop.call_soon_threadsafe(stop.set)
        thread.join()


def way_to(endpoint: str) -> AbstractContextManager[Proxy]:
    """A proxy to a ZeroMQ socket that is bound to a port of 127.0.0.1."""
    return proxy(int(endpoint.rpartition(":")[2]), rtsp=False)
