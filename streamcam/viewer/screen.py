"""A subscriber with a window: frame, heat, classes, latency; and a plain one for terminals. Needs no torch."""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from streamcam.records import Heat, Image, Result, on_host
from streamcam.render.canvas import Caption
from streamcam.render.overlay import Painter, overlay, panel
from streamcam.transport.messages import Message

SILENT_S = 2.0

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
