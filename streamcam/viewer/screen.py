"""What a viewer shows: frame, heat, classes and age, as a picture. It knows no window and no socket."""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from streamcam.records import Heat, Image, Result, on_host
from streamcam.render.canvas import Caption
from streamcam.render.overlay import Painter, overlay, panel
from streamcam.render.text import heat_lag, picture_age
from streamcam.transport.messages import Message

SILENT_S = 2.0
"""A source that has sent no picture for so long is reported as silent."""

FPS_FRAMES = 30
"""Frames over which the frame rate is averaged."""

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
    """The settings that keys change."""

    class_index: int | None = None
    """The class to paint; None for the strongest."""
    source: str | None = None
    """The source to show; None for the first."""
    opacity: float = 0.6
    paused: bool = False
    help: bool = False
    quit: bool = False
    snapshots: int = 0
    """How often a snapshot has been asked for."""


def on_key(view: View, key: str, *, classes: Sequence[int], sources: Sequence[str]) -> View:
    """Return the view after a key.

    Args:
        view: the view before it.
        key: the key's character.
        classes: indices of the classes whose heat is shown, the strongest first.
        sources: the names of all sources.
    """
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
    """Step through the classes: the strongest (None), the second, …, the last, and the strongest again."""
    at = classes.index(current) + 1 if current in classes else 1
    return classes[at] if at < len(classes) else None


class Screen:
    """The newest messages of every source, and the picture that they make."""

    def __init__(self, endpoint: str, *, clock: Callable[[], int] = time.time_ns) -> None:
        """Start without messages.

        Args:
            endpoint: the publisher's address, to show while nothing has come.
            clock: gives Unix time in nanoseconds.
        """
        self._endpoint, self._clock = endpoint, clock
        self._frames: dict[str, Result] = {}
        self._heats: dict[str, Result] = {}
        self._states: dict[str, str] = {}
        self._publishers: dict[str, str] = {}
        self._arrivals_s: dict[str, deque[float]] = {}
        self._painter = Painter()

    @property
    def sources(self) -> list[str]:
        """The sources that a frame has come from, in the order of their first."""
        return list(self._frames)

    def visible_source(self, view: View) -> str | None:
        """Return the source that a view shows; None while no frame has come."""
        if view.source in self._frames:
            return view.source
        return next(iter(self._frames), None)

    def take(self, message: Message) -> str | None:
        """Take a message; return the source whose picture has changed by it, if any."""
        header, result = message.header, message.result
        if self._publishers.setdefault(header.source, header.publisher) != header.publisher:
            # The publisher has been restarted, and counts its sessions from 0 again: its old heat could look current.
            self._publishers[header.source] = header.publisher
            self._heats.pop(header.source, None)
        if header.kind == "status":
            state = (header.data.get("state"), header.data.get("reason"))
            self._states[header.source] = ": ".join(str(text) for text in state if text)
        elif header.kind == "result" and result is not None:
            self._heats[header.source] = result
        elif result is not None:
            self._frames[header.source] = result
            self._arrivals_s.setdefault(header.source, deque(maxlen=FPS_FRAMES)).append(self._clock() / 1e9)
            return header.source
        return None

    def heat(self, source: str | None) -> Heat | None:
        """Return the newest heat of a source; None if there is none of its frame's session."""
        frame, result = self._frames.get(source or ""), self._heats.get(source or "")
        if frame is None or result is None or frame.frame.session != result.frame.session:
            return None
        return result.heat

    def picture(self, view: View, skipped: Counter[str], refused: str | None = None) -> Image:
        """Return the picture of a view, uint8 [H,W,3] RGB.

        Args:
            view: the settings.
            skipped: the subscriber's counts of skipped messages.
            refused: why the publisher refuses this program, if it does.
        """
        source = self.visible_source(view)
        if source is None:
            waiting = np.full((360, 640, 3), 24, np.uint8)
            return panel(waiting, [f"waiting for {self._endpoint}", *([refused] if refused else []), "", *HELP])
        heat = self.heat(source)
        k = 0 if heat is None else _position(heat, view.class_index)
        # Of the painter only the scale is used. Its overlay is painted once for each result, but keys and the clock
        # change the picture in between.
        scale = 1.0 if heat is None else self._painter.scale(source, heat, k)
        result = replace(self._frames[source], heat=heat)
        caption = self._caption(result, view)
        picture = on_host(overlay(result, scale=scale, k=k, opacity=view.opacity, caption=caption))
        return panel(picture, [*HELP, "", self._figures(result, skipped)]) if view.help else picture

    def _caption(self, result: Result, view: View) -> Caption:
        """Write the source, and below it the picture's age and the warnings."""
        title = f"{result.frame.source}, paused" if view.paused else result.frame.source
        return Caption(title, [picture_age(self._age_s(result)), *self._warnings(result, view)])

    def _age_s(self, result: Result) -> float:
        return (self._clock() - result.frame.captured_ns) / 1e9

    def _figures(self, result: Result, skipped: Counter[str]) -> str:
        """Write how fast frames come, and how many were lost on the way."""
        fps, dropped = self._fps(result.frame.source), sum(result.drops.values())
        return f"{fps:.0f} fps, {dropped} dropped, {skipped.total()} skipped"

    def _warnings(self, result: Result, view: View) -> list[str]:
        """Write a note for each thing that is not as it should be."""
        source, heat, warnings = result.frame.source, result.heat, [*heat_lag(result.heat_age_s)]
        if result.hop_s is not None and result.skipped:
            warnings.append(f"its device cannot keep up: a window every {result.hop_s:.2f} s")
        if heat is not None and view.class_index is not None and view.class_index not in heat.classes:
            warnings.append("the chosen class is not among those sent: showing the strongest")
        silent_s = self._clock() / 1e9 - self._arrivals_s[source][-1]
        if silent_s > SILENT_S and not view.paused:
            warnings.append(f"no picture for {silent_s:.0f} s")
        state = self._states.get(source, "live")
        return warnings if state in ("live", "ended") else [*warnings, state]

    def _fps(self, source: str) -> float:
        """Return the rate at which a source's frames have arrived; 0 once it is silent."""
        arrivals_s = self._arrivals_s[source]
        if self._clock() / 1e9 - arrivals_s[-1] > SILENT_S:
            return 0.0
        span_s = arrivals_s[-1] - arrivals_s[0]
        return (len(arrivals_s) - 1) / span_s if span_s > 0 else 0.0


def _position(heat: Heat, class_index: int | None) -> int:
    """Return the position of a class among the heat's K; 0, the strongest, if it is not among them."""
    positions = np.flatnonzero(heat.classes == class_index)
    return int(positions[0]) if len(positions) else 0
