"""`--rtsp-out`: pushes the overlay of each camera to an RTSP server, encoded once for all who watch there.

    Hub ──► RtspOut (the event loop) ──► Push (a thread for each camera) ──► RTSP server

Overlays are asked for only while the server is there.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Condition, Event, Thread
from urllib.parse import quote

from streamcam.errors import first_line, one_line, redact
from streamcam.records import Image
from streamcam.sources.status import Backoff
from streamcam.transport.headers import Header
from streamcam.transport.messages import RawMessage, decode
from streamcam.transport.payloads import MessageError
from streamcam.web.hub import Hub, Topic, Watcher
from streamcam.web.rtsp.client import RtspError, RtspSender, RtspUrl, parse_rtsp_url
from streamcam.web.rtsp.h264 import LiveEncoder
from streamcam.web.rtsp.rtp import TICKS, Packetiser

log = logging.getLogger(__name__)

CAMERA = "{camera}"
KEEP_ALIVE_S = 15.0
"""A server ends a session of which it hears nothing for a minute."""
REPORT_EVERY = 5 * TICKS
CLOSE_S = 1.0
"""How long closing waits for a thread that waits for its server."""


class RtspOut:
    """Pushes the overlays of all cameras of a hub."""

    def __init__(self, hub: Hub, url: str, *, backoff: Callable[[], Backoff] = Backoff) -> None:
        """Check the address; `run` begins.

        Args:
            hub: has the cameras.
            url: rtsp://[USER:PASSWORD@]HOST[:PORT]/PATH; {camera} in it is replaced by the camera's name.
            backoff: makes the waits between the attempts to connect.

        Raises:
            StreamcamError: the address is no RTSP URL.
        """
        parse_rtsp_url(url.replace(CAMERA, "camera"))
        self._hub, self._url, self._backoff = hub, url, backoff
        self._for_each = CAMERA in url
        self._pushes: dict[str, Push] = {}
        self._has_warned = False

    async def run(self) -> None:
        """Push until the hub is closed, or this task is cancelled."""
        try:
            with self._hub.watch() as watcher:
                wake = _waker(watcher)
                while not watcher.closed:
                    if watcher.cameras_changed:
                        watcher.cameras_changed = False
                        self._update(wake)
                    topics: frozenset[Topic] = frozenset(
                        (name, "overlay") for name, push in self._pushes.items() if push.is_ready
                    )
                    if topics != watcher.topics:
                        watcher.want(topics)
                    message = watcher.pop()
                    if message is None:
                        await watcher.wait()
                    elif (push := self._pushes.get(message.camera)) is not None:
                        push.put(message.raw)
        finally:
            self._keep(())

    def _update(self, wake: Callable[[], None]) -> None:
        """Begin to push cameras that have come, and stop pushing those that have gone."""
        self._keep(self._hub.cameras)
        for camera in self._hub.cameras:
            if camera in self._pushes:
                continue
            if self._pushes and not self._for_each:
                self._warn_of(camera)
                continue
            # A name may hold an @, before which a server could look for a password.
            target = parse_rtsp_url(self._url.replace(CAMERA, quote(camera, safe="")))
            self._pushes[camera] = Push(camera, target, on_ready=wake, backoff=self._backoff())

    def _keep(self, cameras: Mapping[str, object] | tuple[()]) -> None:
        gone = [camera for camera in self._pushes if camera not in cameras]
        for push in (pushes := [self._pushes.pop(camera) for camera in gone]):
            push.stop()
        for push in pushes:
            push.join(CLOSE_S / len(pushes))

    def _warn_of(self, camera: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            first = next(iter(self._pushes))
            log.warning(
                "%s is not pushed to the RTSP server, only %s is: put %s into --rtsp-out", camera, first, CAMERA
            )


class Push:
    """A thread that pushes one camera."""

    def __init__(self, camera: str, url: RtspUrl, *, on_ready: Callable[[], None], backoff: Backoff) -> None:
        """Start it.

        Args:
            camera: its id.
            url: where to.
            on_ready: is called, in the thread, when `is_ready` changes.
            backoff: the waits between the attempts to connect.
        """
        self.camera, self._url, self._on_ready, self._backoff = camera, url, on_ready, backoff
        self.is_ready = False
        """Whether the server is there, so that pictures are wanted."""
        self._stop = Event()
        self._newest: RawMessage | None = None
        self._changed = Condition()
        self._sender: RtspSender | None = None
        self._trouble: str | None = None
        self._timeline = Timeline()
        self._thread = Thread(target=self._run, name=f"rtsp-{camera}", daemon=True)
        self._thread.start()

    def put(self, raw: RawMessage) -> None:
        """Let an overlay wait; one that waits already gives way."""
        with self._changed:
            self._newest = raw
            self._changed.notify()

    def stop(self) -> None:
        """Let the thread end soon."""
        self._stop.set()
        with self._changed:
            self._changed.notify()
            if self._sender is not None:
                self._sender.abort()

    def join(self, timeout_s: float) -> None:
        """Wait for its end; a thread that waits for the network longer than this is left alone."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._connect_and_push()
                continue  # the pictures' size has changed
            except (OSError, RtspError) as e:
                if not self._stop.is_set():
                    self._tell(_reason(e))
            except Exception as e:  # the encoder's: a thread does not die in silence
                self._tell(f"{type(e).__name__}: {one_line(redact(first_line(e)))}")
            self._stop.wait(self._backoff.next_s())

    def _connect_and_push(self) -> None:
        """Push until the pictures' size changes.

        Raises:
            OSError: the server is away.
            RtspError: the server refuses.
        """
        with RtspSender(self._url) as sender:
            with self._changed:
                self._sender, self._newest = sender, None
            sender.ask_options()
            self._set_ready(ready=True)
            try:
                self._push(sender)
            finally:
                self._set_ready(ready=False)
                with self._changed:
                    self._sender = None

    def _push(self, sender: RtspSender) -> None:
        encoder: LiveEncoder | None = None
        packetiser, next_report = Packetiser(), 0
        while not self._stop.is_set():
            raw = self._next()
            found = None if raw is None else self._decoded(raw)
            if raw is None or found is None:
                if raw is None and not self._stop.is_set():
                    sender.keep_alive()
                continue
            picture, ticks = found
            height, width = picture.shape[:2]
            if encoder is not None and encoder.picture_size != (width, height):
                return
            is_first = encoder is None
            encoder = encoder or LiveEncoder(width, height)
            nals = encoder.encode(picture, ticks)
            if is_first:
                sender.begin(encoder.session_description(self._url.host))
                self._tell(None)
            assert raw.header.frame is not None
            report = packetiser.report(raw.header.frame.captured_ns, ticks) if ticks >= next_report else None
            next_report = ticks + REPORT_EVERY if report else next_report
            sender.send(packetiser.packets(nals, ticks), report)

    def _next(self) -> RawMessage | None:
        """Wait for the next overlay; None where none comes in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._stop.is_set(), KEEP_ALIVE_S)
            raw, self._newest = self._newest, None
            return raw

    def _decoded(self, raw: RawMessage) -> tuple[Image, int] | None:
        """Decode an overlay; return it with its time. None if it is malformed, or came before."""
        with suppress(MessageError):
            result = decode(raw.parts).result
            ticks = self._timeline.ticks(raw.header)
            if result is not None and result.frame.pixels is not None and ticks is not None:
                return result.frame.pixels, ticks
        return None

    def _set_ready(self, *, ready: bool) -> None:
        self.is_ready = ready
        self._on_ready()

    def _tell(self, trouble: str | None) -> None:
        """Log what is wrong, or that nothing is any more; the same trouble is told once."""
        if trouble is None:
            self._backoff.reset()
        if trouble == self._trouble:
            return
        self._trouble = trouble
        where = redact(f"{self._url.host}:{self._url.port}")
        if trouble is None:
            log.info("%s is pushed to %s", self.camera, where)
        else:
            log.warning("cannot push %s to the RTSP server %s: %s; trying again", self.camera, where, trouble)


class Timeline:
    """Frames' own times, which begin anew with each session of a camera, as one time that always goes on."""

    def __init__(self) -> None:
        self._key: tuple[str, int] | None = None
        self._origin_s = self._pts_s = 0.0
        self._captured_ns = self._ticks = 0

    def ticks(self, header: Header) -> int | None:
        """Return a frame's time in 1/90000 s; None if it is not newer than the last one.

        Between two sessions, as much time goes on as lies between the frames' capture.
        """
        frame = header.frame
        if frame is None:
            return None
        key = header.publisher, header.session
        if self._key is None:
            self._origin_s = frame.pts_s
        elif key != self._key:
            away_s = min(max((frame.captured_ns - self._captured_ns) / 1e9, 1 / 30), 3600.0)
            self._origin_s = frame.pts_s - self._ticks / TICKS - away_s
        elif frame.pts_s <= self._pts_s:
            return None
        self._key, self._pts_s, self._captured_ns = key, frame.pts_s, frame.captured_ns
        self._ticks = max(self._ticks + 1, round((frame.pts_s - self._origin_s) * TICKS))
        return self._ticks


def _waker(watcher: Watcher) -> Callable[[], None]:
    """Return a function that wakes a watcher from another thread."""
    loop = asyncio.get_running_loop()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(watcher.wake)

    return wake


def _reason(error: Exception) -> str:
    """Say in a few words what is wrong. No user name or password is in it."""
    if isinstance(error, ssl.SSLError):
        return one_line(redact(getattr(error, "verify_message", "") or error.reason or "TLS failed"))
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, OSError):
        return one_line(redact(error.strerror or str(error) or type(error).__name__))
    return one_line(redact(str(error)))
