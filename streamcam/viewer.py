"""A subscriber with a window: frame, heat, classes, latency; and a plain one for terminals. Needs no torch."""

import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from streamcam.display import require_display
from streamcam.errors import StreamcamError, one_line, printable
from streamcam.records import Heat, Image, Result, on_host
from streamcam.render import Caption, Painter, overlay, panel
from streamcam.text import short
from streamcam.transport import Subscriber
from streamcam.wire import Message

WINDOW, WINDOW_SIZE = "streamcam", (800, 600)
POLL_S = 0.015
SILENT_S = 2.0
REDRAW_S = 1.0
"""How often the window is drawn anew while nothing comes, to say so."""

HELP = (
    "q   quit",
    "c   next class",
    "n   next source",
    "+ -   more or less heat",
    "p   pause",
    "s   snapshot (PNG)",
    "h   hide this help",
)


@dataclass(frozen=True, slots=True)
class View:
    """What the keys change."""

    class_index: int | None = None
    """The class that is painted; None for the strongest."""
    source: str | None = None
    """The source that is shown; None for the first."""
    opacity: float = 0.6
    paused: bool = False
    help: bool = False
    quit: bool = False
    snapshots: int = 0


def on_key(view: View, key: str, *, classes: Sequence[int], sources: Sequence[str]) -> View:
    """The view after a key, given the classes whose heat is at hand, and all sources."""
    match key:
        case "q" | "\x1b":
            return replace(view, quit=True)
        case "c":
            return replace(view, class_index=_next_class(classes, view.class_index))
        case "n" if sources:
            at = sources.index(view.source) if view.source in sources else 0
            return replace(view, source=sources[(at + 1) % len(sources)])
        case "+" | "=":
            return replace(view, opacity=min(1.0, round(view.opacity + 0.1, 1)))
        case "-" | "_":
            return replace(view, opacity=max(0.0, round(view.opacity - 0.1, 1)))
        case "p":
            return replace(view, paused=not view.paused)
        case "s":
            return replace(view, snapshots=view.snapshots + 1)
        case "h":
            return replace(view, help=not view.help)
    return view


def _next_class(classes: Sequence[int], current: int | None) -> int | None:
    """The strongest, whichever it is (None) → the second of now → … → the last → the strongest."""
    at = classes.index(current) + 1 if current in classes else 1
    return classes[at] if at < len(classes) else None


class Screen:
    """What is known of each source, and how it looks. Knows no window and no socket."""

    def __init__(self, endpoint: str, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._endpoint, self._clock = endpoint, clock
        self._frames: dict[str, Result] = {}
        self._heats: dict[str, Result] = {}
        self._states: dict[str, str] = {}
        self._publishers: dict[str, str] = {}
        self._arrivals_s: dict[str, deque[float]] = {}
        self._painter = Painter()

    @property
    def sources(self) -> list[str]:
        """All sources from which a frame has come."""
        return list(self._frames)

    def shown(self, view: View) -> str | None:
        """The source that a view shows."""
        if view.source in self._frames:
            return view.source
        return next(iter(self._frames), None)

    def take(self, message: Message) -> str | None:
        """Take in a message; the source whose picture has changed with it, if any."""
        header, result = message.header, message.result
        if self._publishers.setdefault(header.source, header.publisher) != header.publisher:  # it has been restarted
            self._publishers[header.source] = header.publisher
            self._heats.pop(header.source, None)
        if header.kind == "status":
            told = (header.data.get("state"), header.data.get("reason"))
            self._states[header.source] = ": ".join(str(text) for text in told if text)
        elif header.kind == "result" and result is not None:
            self._heats[header.source] = result
        elif result is not None:
            self._frames[header.source] = result
            self._arrivals_s.setdefault(header.source, deque(maxlen=30)).append(self._clock() / 1e9)
            return header.source
        return None

    def heat(self, source: str | None) -> Heat | None:
        """The newest heat of a source, if it is of the session that is shown."""
        frame, result = self._frames.get(source or ""), self._heats.get(source or "")
        if frame is None or result is None or frame.frame.session != result.frame.session:
            return None
        return result.heat

    def picture(self, view: View, skipped: Counter[str], refused: str | None = None) -> Image:
        """What the window shows, uint8 [H,W,3] RGB."""
        source = self.shown(view)
        if source is None:
            waiting = np.full((360, 640, 3), 24, np.uint8)
            return panel(waiting, [f"waiting for {self._endpoint}", *([refused] if refused else []), "", *HELP])
        heat = self.heat(source)
        k = 0 if heat is None else _position(heat, view.class_index)
        scale = 1.0 if heat is None else self._painter.scale(source, heat, k)
        result = replace(self._frames[source], heat=heat)
        caption = self._caption(result, view, skipped)
        picture = on_host(overlay(result, scale=scale, k=k, opacity=view.opacity, caption=caption))
        return panel(picture, HELP) if view.help else picture

    def _caption(self, result: Result, view: View, skipped: Counter[str]) -> Caption:
        frame = result.frame
        title = f"{frame.source}  {self._fps(frame.source):.0f} fps" + ("  PAUSED" if view.paused else "")
        latency_ms = (self._clock() - frame.captured_ns) / 1e6
        age = "no heat yet" if result.heat_age_s is None else f"heat {max(0.0, result.heat_age_s) * 1e3:.0f} ms old"
        notes = [age, f"latency {latency_ms:.0f} ms, {sum(result.drops.values())} dropped, {skipped.total()} skipped"]
        if result.hop_s is not None and result.skipped:
            notes.append(f"its device cannot keep up: a window every {result.hop_s:.2f} s")
        heat = result.heat
        if heat is not None and view.class_index is not None and view.class_index not in heat.classes:
            notes.append("the chosen class is not among those sent: showing the strongest")
        state = self._states.get(frame.source, "live")
        silent_s = self._clock() / 1e9 - self._arrivals_s[frame.source][-1]
        if silent_s > SILENT_S and not view.paused:
            notes.append(f"no picture for {silent_s:.0f} s")
        return Caption(title, notes if state in ("live", "ended") else [*notes, state])

    def _fps(self, source: str) -> float:
        arrivals_s = self._arrivals_s[source]
        if self._clock() / 1e9 - arrivals_s[-1] > SILENT_S:
            return 0.0
        span_s = arrivals_s[-1] - arrivals_s[0]
        return (len(arrivals_s) - 1) / span_s if span_s > 0 else 0.0


def _position(heat: Heat, class_index: int | None) -> int:
    """Where a class is among the heat's K; the strongest, where it is not."""
    found = np.flatnonzero(heat.classes == class_index)
    return int(found[0]) if len(found) else 0


def show(endpoint: str, *, keys: Path | None = None, snapshot_folder: Path = Path()) -> None:
    """Open a window on a publisher and stay until it is closed.

    Raises:
        StreamcamError: there is no display, the endpoint is malformed, or a key is missing.
    """
    require_display()
    screen, view = Screen(endpoint), View()
    with Subscriber(endpoint, kinds=("frame", "result", "status"), keys=keys) as subscriber:
        _open_window()
        picture, drawn_s = _draw(screen, view, subscriber), time.monotonic()
        while True:
            message = next(subscriber.messages(timeout_s=POLL_S), None)
            changed = None if message is None or view.paused else screen.take(message)
            before, view = view, _read_key(screen, view)
            if view.quit or not _is_open():  # asked before drawing, which would open a closed window again
                break
            silent = not view.paused and time.monotonic() - drawn_s > REDRAW_S
            if view != before or silent or (changed and changed == screen.shown(view)):
                picture, drawn_s = _draw(screen, view, subscriber), time.monotonic()
            if view.snapshots > before.snapshots:
                _save(picture, snapshot_folder / f"streamcam-{time.strftime('%Y%m%d-%H%M%S')}-{view.snapshots}.png")
        cv2.destroyAllWindows()


def _open_window() -> None:
    try:
        cv2.namedWindow(WINDOW, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.resizeWindow(WINDOW, *WINDOW_SIZE)
    except cv2.error as e:
        raise StreamcamError(
            "this OpenCV cannot open windows: pip uninstall opencv-python-headless, then "
            "pip install --force-reinstall opencv-python (or use `streamcam view --print`)"
        ) from e


def _draw(screen: Screen, view: View, subscriber: Subscriber) -> Image:
    picture = screen.picture(view, subscriber.skipped, subscriber.refused)
    cv2.imshow(WINDOW, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return picture


def _read_key(screen: Screen, view: View) -> View:
    code = cv2.waitKey(1)
    if code < 0:
        return view
    heat = screen.heat(screen.shown(view))
    classes = [] if heat is None else heat.classes.tolist()
    return on_key(view, chr(code & 0xFF), classes=classes, sources=screen.sources)


def _is_open() -> bool:
    try:
        return cv2.getWindowProperty(WINDOW, cv2.WND_PROP_VISIBLE) > 0
    except cv2.error:  # it has been closed
        return False


def _save(picture: Image, path: Path) -> None:
    content = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1]
    try:
        path.write_bytes(content.tobytes())  # OpenCV would take no name that is not text
    except OSError as e:
        print(one_line(f"could not save {path}: {e.strerror or e}"), file=sys.stderr)
    else:
        print(one_line(f"saved {path}"), file=sys.stderr)


def print_results(endpoint: str, *, keys: Path | None = None, seconds: float | None = None) -> None:
    """Print a line for each result, for terminals.

    Args:
        endpoint: where the publisher is bound.
        keys: the folder of keys, for a publisher that has them.
        seconds: stop after so long; None goes on for ever.

    Raises:
        StreamcamError: the endpoint is malformed, or a key is missing.
    """
    end_s = None if seconds is None else time.monotonic() + seconds
    with Subscriber(endpoint, keys=keys) as subscriber:
        print(one_line(f"waiting for {endpoint}"), file=sys.stderr)
        refused = None
        while end_s is None or time.monotonic() < end_s:
            if subscriber.refused != refused:
                refused = subscriber.refused
                print(f"not let in: {refused}" if refused else "let in", file=sys.stderr)
            for message in subscriber.messages(timeout_s=0.2):
                if message.result is not None:
                    print(line_of(message), flush=True)
                if end_s is not None and time.monotonic() >= end_s:
                    break


def line_of(message: Message, *, clock: Callable[[], int] = time.time_ns) -> str:
    """A result in one line: source, time, the strongest classes, latency, drops."""
    result = message.result
    if result is None or result.heat is None:
        return f"{message.header.source}: {message.header.kind}"
    frame, heat = result.frame, result.heat
    top = zip(heat.labels[:3], heat.scores[:3], strict=True)
    names = "  ".join(f"{short(printable(name))} {score * 100:.0f} %" for name, score in top)
    latency_ms, drops = (clock() - frame.captured_ns) / 1e6, sum(result.drops.values())
    return f"{frame.source}  {frame.pts_s:8.2f} s  {names}  (latency {latency_ms:.0f} ms, {drops} dropped)"
