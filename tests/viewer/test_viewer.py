import json
import os
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from streamcam.errors import StreamcamError
from streamcam.records import Floats, Heat, Image, Result
from streamcam.transport.messages import Stamp, decode, encode_picture, encode_result, encode_status
from streamcam.transport.payloads import MessageError
from streamcam.transport.subscriber import Subscriber
from streamcam.viewer.display import require_display
from streamcam.viewer.screen import HELP, Screen, View, on_key
from streamcam.viewer.terminal import line_of
from streamcam.viewer.window import show as show_window
from tests.support.messages import damaged_bytes, replaced_descriptions, replaced_fields
from tests.support.publish_demo import (
    CLASSES,
    COLOURS,
    HOT_CELLS,
    LABELS,
    Demo,
    colour_of,
    eventually,
    heat_of,
    publishing,
    result_of,
)
from tests.support.xvfb import Display, xvfb

STAMP = Stamp("p", 0, 0)
NOTHING: Counter[str] = Counter()
HOT = HOT_CELLS[0]
PLAIN = (0.2, 0.5)
"""A place (x, y) that neither heat nor writing covers, as fractions of the picture."""
POINTER = (0.3, 0.75)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("q", View(quit=True)),
        ("\x1b", View(quit=True)),
        ("c", View(class_index=0)),
        ("n", View(source="b")),
        ("+", View(opacity=0.7)),
        ("=", View(opacity=0.7)),
        ("-", View(opacity=0.5)),
        ("_", View(opacity=0.5)),
        ("p", View(paused=True)),
        ("s", View(snapshots=1)),
        ("h", View(help=True)),
        ("x", View()),
        ("Q", View()),
        ("\xff", View()),
    ],
)
def test_each_key_changes_one_thing(key: str, expected: View) -> None:
    assert on_key(View(), key, classes=[2, 0, 3], sources=["a", "b"]) == expected


def pressed(keys: str, view: View | None = None, **known: Any) -> list[View]:
    """The views after each key."""
    views = [view or View()]
    for key in keys:
        options: dict[str, Any] = {"classes": [2, 0, 3], "sources": ["a", "b"]} | known
        views.append(on_key(views[-1], key, **options))
    return views[1:]


def test_the_keys_for_pause_and_help_are_switches() -> None:
    assert [view.paused for view in pressed("pp")] == [True, False]
    assert [view.help for view in pressed("hh")] == [True, False]


def test_classes_come_round_to_the_strongest() -> None:
    assert [view.class_index for view in pressed("ccccc")] == [0, 3, None, 0, 3]
    assert pressed("c", View(class_index=77))[0].class_index == 0
    assert pressed("c", classes=[])[0].class_index is None
    assert pressed("c", View(class_index=3), classes=[])[0].class_index is None


def test_sources_come_round() -> None:
    assert [view.source for view in pressed("nnn")] == ["b", "a", "b"]
    assert pressed("n", sources=[])[0].source is None
    assert pressed("n", sources=["a"])[0].source == "a"


def test_heat_stays_between_none_and_all() -> None:
    assert [view.opacity for view in pressed("+" * 6)] == [0.7, 0.8, 0.9, 1.0, 1.0, 1.0]
    assert [view.opacity for view in pressed("-" * 8)] == [0.5, 0.4, 0.3, 0.2, 0.1, 0.0, 0.0, 0.0]


def with_session(result: Result, session: int) -> Result:
    return replace(result, frame=replace(result.frame, session=session))


class Sent:
    """A screen that is sent messages, with a clock that stands still."""

    def __init__(self) -> None:
        self.screen = Screen("ipc:///tmp/s", clock=lambda: 5_000_000_000)

    def heat(self, index: int = 0, *, session: int = 0, source: str = "demo", heat: Heat | None = None) -> None:
        result = with_session(result_of(index, source=source), session)
        self.screen.take(decode(encode_result(replace(result, heat=heat or result.heat), STAMP)))

    def frame(self, index: int = 0, *, session: int = 0, source: str = "demo") -> None:
        result = with_session(result_of(index, source=source), session)
        self.screen.take(decode(encode_picture("frame", result, result.frame.pixels, STAMP)))

    def hotness(self, view: View | None = None, place: tuple[float, float] = HOT) -> int:
        return hotness(self.screen.picture(view or View(), NOTHING), place)


def at(picture: Image, place: tuple[float, float]) -> Floats:
    """The colour at a place."""
    return np.asarray(
        picture[int(place[1] * picture.shape[0]), int(place[0] * picture.shape[1])].astype(np.float32), np.float32
    )


def hotness(picture: Image, place: tuple[float, float] = HOT) -> int:
    """How much the colour at a place differs from that of the plain picture."""
    return int(np.abs(at(picture, place) - at(picture, PLAIN)).sum())


def test_a_screen_waits_with_a_message_when_nothing_has_come() -> None:
    screen = Sent().screen
    picture = screen.picture(View(), NOTHING)
    assert (screen.sources, screen.visible_source(View()), screen.heat(None)) == ([], None, None)
    assert picture.std() > 5
    assert (picture != Screen("tcp://127.0.0.1:1").picture(View(), NOTHING)).any()  # it says for what


def test_a_screen_waits_until_a_picture_has_come() -> None:
    sent = Sent()
    waiting = sent.screen.picture(View(), NOTHING)
    sent.heat()
    assert (sent.screen.picture(View(), NOTHING) == waiting).all()


def test_a_screen_shows_the_picture_with_its_heat() -> None:
    sent = Sent()
    sent.frame()
    assert sent.hotness() < 10
    sent.heat()
    assert sent.hotness() > 100
    assert np.abs(at(sent.screen.picture(View(), NOTHING), PLAIN) - colour_of(0)).max() < 6


def test_a_screen_never_shows_the_heat_of_another_session() -> None:
    sent = Sent()
    sent.frame(0)
    sent.heat(0)
    sent.frame(1, session=1)  # the camera has come back
    assert sent.screen.heat("demo") is None
    assert sent.hotness() < 10
    sent.heat(0, session=0)
    assert sent.screen.heat("demo") is None
    sent.heat(2, session=1)
    assert sent.hotness() > 100
    sent.heat(3, session=2)
    assert sent.screen.heat("demo") is None


def test_a_screen_never_shows_the_heat_of_another_source() -> None:
    sent = Sent()
    sent.frame(source="a")
    sent.heat(source="b")
    assert sent.screen.heat("a") is None
    assert sent.hotness() < 10


def test_a_chosen_class_is_painted_where_it_is_seen() -> None:
    sent = Sent()
    sent.frame()
    sent.heat(heat=replace(heat_of(0), scores=np.ones(3, np.float32)))
    for k, class_index in enumerate(CLASSES):
        hot = [sent.hotness(View(class_index=class_index), place) > 100 for place in HOT_CELLS]
        assert hot == [i == k for i in range(3)]


def test_a_chosen_class_that_is_no_longer_sent_falls_back_to_the_strongest() -> None:
    sent = Sent()
    sent.frame()
    sent.heat()
    assert sent.hotness(View(class_index=77)) == sent.hotness(View()) > 100
    chosen, strongest = (sent.screen.picture(View(class_index=c), NOTHING) for c in (77, None))
    assert (chosen[:120] != strongest[:120]).any()  # it says so


def test_a_screen_shows_the_source_that_is_chosen() -> None:
    sent = Sent()
    sent.frame(0, source="a")
    sent.frame(10, source="b")
    assert sent.screen.sources == ["a", "b"]
    for chosen, index in ((None, 0), ("a", 0), ("b", 10), ("gone", 0)):
        picture = sent.screen.picture(View(source=chosen), NOTHING)
        assert np.abs(at(picture, PLAIN) - colour_of(index)).max() < 6


def test_a_screen_says_when_a_source_is_lost() -> None:
    sent = Sent()
    sent.frame()
    live = sent.screen.picture(View(), NOTHING)
    assert sent.screen.take(decode(encode_status("demo", {"state": "reconnecting"}, STAMP))) is None
    assert (sent.screen.picture(View(), NOTHING)[:150] != live[:150]).any()


def test_only_a_picture_changes_what_is_shown() -> None:
    screen, result = Sent().screen, result_of(0)
    assert screen.take(decode(encode_result(result, STAMP))) is None
    assert screen.take(decode(encode_picture("frame", result, result.frame.pixels, STAMP))) == "demo"


def test_help_lies_over_the_picture() -> None:
    sent = Sent()
    sent.frame()
    without, with_help = (sent.screen.picture(View(help=shown), NOTHING) for shown in (False, True))
    assert (without[200:280, 250:390] != with_help[200:280, 250:390]).mean() > 0.5
    assert {line[0] for line in HELP} == set("qcn+psh")


def show(message: list[bytes]) -> None:
    """Whatever can be decoded can be shown; what cannot is refused."""
    sent = Sent()
    sent.frame()
    try:
        decoded = decode(message)
    except MessageError:
        return
    sent.screen.take(decoded)
    line_of(decoded)
    for view in (View(), View(class_index=0)):
        sent.screen.picture(view, NOTHING)


EMPTY: dict[str, tuple[list[int], list[int], dict[str, list[Any]]]] = {
    "classes": ([0, 2, 7, 7], [2, 7, 7], {"top": []}),
    "slices": ([3, 0, 7, 7], [0, 7, 7], {"pts_s": []}),
    "cells": ([3, 2, 0, 7], [2, 0, 7], {}),
}


@pytest.mark.parametrize("what", EMPTY)
def test_heat_with_nothing_in_it_does_not_end_the_viewer(what: str) -> None:
    *shapes, fields = EMPTY[what]
    name, encoded, *bodies = encode_result(result_of(0), STAMP)
    header = json.loads(encoded)
    header["heat"] |= fields
    for i, shape in enumerate(shapes):
        bodies[i] = bodies[i][: 2 * prod(shape)]
        header["parts"][i] |= {"shape": shape, "nbytes": len(bodies[i])}
    show([name, json.dumps(header).encode(), *bodies])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_heat_that_is_no_number_does_not_end_the_viewer() -> None:
    heat = heat_of(0)
    heat.cube[:] = np.nan
    show(encode_result(replace(result_of(0), heat=heat), STAMP))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(replaced_fields() | replaced_descriptions() | damaged_bytes())
def test_whatever_can_be_decoded_can_be_shown(message: list[bytes]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        show(message)


def test_a_result_is_a_line() -> None:
    result = result_of(30)
    result = replace(result, frame=replace(result.frame, captured_ns=1_000_000_000))
    line = line_of(decode(encode_result(result, STAMP)), clock=lambda: 1_012_000_000)
    assert line == "demo      1.50 s  teapot 80 %  Häuschen 15 %  kettle 4 %  (latency 12 ms, 30 dropped)"


def test_a_message_without_heat_is_a_line() -> None:
    assert line_of(decode(encode_status("demo", {"state": "live"}, STAMP))) == "demo: status"


COMMAND = [sys.executable, "-m", "streamcam", "view"]


def environment(display: str | None) -> dict[str, str]:
    rest = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    return rest if display is None else rest | {"DISPLAY": display}


def view(*arguments: str, display: str | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], env=environment(display), capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("display", "arguments", "complaint"),
    [
        (None, ["tcp://127.0.0.1:5555"], "DISPLAY is not set"),
        (":4242", ["tcp://127.0.0.1:5555"], "nothing answers at DISPLAY=:4242"),
        (None, ["nonsense", "--print"], "not an endpoint: nonsense"),
    ],
)
def test_what_people_can_mend_is_one_line_and_exit_code_2(
    display: str | None, arguments: list[str], complaint: str
) -> None:
    done = view(*arguments, display=display)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "display", ["", "nonsense", ":", "127.0.0.1:4242", "no-such-host.invalid:0", "127.0.0.1:99999", "a..b:0"]
)
def test_a_display_that_cannot_be_reached_is_an_error_for_people(display: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(StreamcamError, match="no display"):
        require_display()


def test_without_a_window_each_result_is_printed(tmp_path: Path) -> None:
    with publishing(f"ipc://{tmp_path}/s") as demo:
        done = view(demo.endpoint, "--print", "--seconds", "1", display=None)
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert len(lines) > 5
    assert all(line.startswith("demo ") and LABELS[1] in line for line in lines)


def test_printing_stops_in_time_when_nothing_comes(tmp_path: Path) -> None:
    started_s = time.monotonic()
    done = view(f"ipc://{tmp_path}/s", "--print", "--seconds", "0.5", display=None)
    assert (done.returncode, done.stdout) == (0, "")
    assert time.monotonic() - started_s < 10


def test_the_view_command_loads_no_network() -> None:
    modules = "streamcam.cli.main, streamcam.viewer.screen"
    code = f"import sys, {modules}; print([m for m in ('torch', 'av') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Display]:
    with xvfb(tmp_path_factory.mktemp("xvfb")) as display:
        yield display


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    """Publishes pictures whose colour changes twice a second."""
    with publishing("tcp://127.0.0.1:*", "--seconds", "120", "--sources", "demo", "other") as demo:
        yield demo


@dataclass(frozen=True)
class Window:
    """A viewer's window, with the pointer in it."""

    process: subprocess.Popen[bytes]
    display: Display
    folder: Path

    @property
    def id(self) -> str:
        return self.display.xdotool("search", "--name", "^streamcam$", check=False)

    def geometry(self) -> tuple[int, int, int, int]:
        """X, y, width and height on the screen."""
        lines = self.display.xdotool("getwindowgeometry", "--shell", self.id).splitlines()
        values = dict(line.split("=") for line in lines)
        return tuple(int(values[name]) for name in ("X", "Y", "WIDTH", "HEIGHT"))  # type: ignore[return-value]

    def point(self) -> None:
        """Move the pointer into the window: where there is no window manager, the keys go where it is."""
        x, y, width, height = self.geometry()
        self.display.xdotool("mousemove", x + int(POINTER[0] * width), y + int(POINTER[1] * height))

    def map_until_it_is_painted(self) -> None:
        """Where there is no window manager, Qt sometimes misses that its window has appeared, and paints nothing."""
        for _ in range(10):
            end_s = time.monotonic() + 1.0
            while time.monotonic() < end_s:
                if self.picture().mean() > 10:
                    return
                time.sleep(0.02)
            self.display.xdotool("windowunmap", "--sync", self.id, "windowmap", self.id)
        raise AssertionError("the window stays black")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.display.xdotool("key", key)
            time.sleep(0.1)  # the viewer takes one key at a time, as it comes from fingers

    def picture(self) -> Image:
        x, y, width, height = self.geometry()
        return self.display.screenshot()[y : y + height, x : x + width]

    def colour(self) -> int | None:
        """Which of the published colours is shown, if any."""
        shown = at(self.picture(), PLAIN)
        return next((i for i, colour in enumerate(COLOURS) if np.abs(shown - colour).max() < 12), None)

    def is_still(self) -> bool:
        before = self.picture()
        time.sleep(0.3)
        return bool((self.picture() == before).all())


@contextmanager
def viewing(endpoint: str, display: Display, folder: Path) -> Iterator[Window]:
    with subprocess.Popen([*COMMAND, endpoint], env=display.environment, cwd=folder) as process:
        window = Window(process, display, folder)
        try:
            eventually(lambda: window.id, "the window is there", seconds=20)
            window.map_until_it_is_painted()
            window.point()
            yield window
        finally:
            process.kill()


@pytest.fixture
def window(demo: Demo, display: Display, tmp_path: Path) -> Iterator[Window]:
    with viewing(demo.endpoint, display, tmp_path) as window:
        eventually(lambda: window.colour() is not None, "a published picture is shown", seconds=20)
        yield window


def published_colour(subscriber: Subscriber) -> int:
    message = next(subscriber.messages(timeout_s=10))
    assert message.result is not None
    return COLOURS.index(colour_of(message.result.frame.index))


def test_the_window_shows_pictures_with_heat_as_they_come(window: Window) -> None:
    eventually(lambda: hotness(window.picture()) > 100, "the heat is shown")
    seen: set[int | None] = set()
    eventually(lambda: seen.add(window.colour()) or len(seen - {None}) == len(COLOURS), "all colours come by")


def test_minus_takes_the_heat_away_and_plus_brings_it_back(window: Window) -> None:
    eventually(lambda: hotness(window.picture()) > 100, "the heat is shown")
    hot = hotness(window.picture())
    window.press("minus", "minus", "minus")
    eventually(lambda: hotness(window.picture()) < 0.7 * hot, "there is less heat")
    window.press("minus", "minus", "minus")
    eventually(lambda: hotness(window.picture()) < 12, "there is no heat")
    window.press("plus", "plus", "plus", "plus", "plus", "plus")
    eventually(lambda: hotness(window.picture()) > 100, "the heat is back")


def test_c_shows_the_next_class(window: Window) -> None:
    eventually(lambda: hotness(window.picture()) > 100, "the strongest class is shown")
    window.press("c")
    eventually(lambda: hotness(window.picture()) < 12, "another class is shown")


def test_p_freezes_the_picture_while_others_come(window: Window, demo: Demo) -> None:
    window.press("p")
    eventually(window.is_still, "the picture stands still")
    frozen = window.colour()
    assert frozen is not None
    with Subscriber(demo.endpoint, kinds=("frame",), sources=["demo"]) as subscriber:
        for colour in (frozen + 1, frozen + 2):
            eventually(lambda: published_colour(subscriber) == colour % len(COLOURS), "the publisher goes on")  # noqa: B023
            assert window.colour() == frozen
    assert window.is_still()
    window.press("p")
    eventually(lambda: window.colour() != frozen, "the picture moves again")


def test_a_paused_picture_stays_the_same_whatever_else_is_pressed_and_is_what_s_saves(
    window: Window, demo: Demo
) -> None:
    eventually(lambda: hotness(window.picture()) > 100, "the heat is shown")
    window.press("p")
    eventually(window.is_still, "the picture stands still")
    frozen, hot = window.colour(), hotness(window.picture())
    assert frozen is not None
    with Subscriber(demo.endpoint, kinds=("frame",), sources=["demo"]) as subscriber:
        eventually(lambda: published_colour(subscriber) == (frozen + 1) % len(COLOURS), "the publisher goes on")
    window.press("s")
    (path,) = saved(window)
    assert np.abs(at(read(path), PLAIN) - COLOURS[frozen]).max() < 12
    window.press("minus", "minus", "minus")
    eventually(lambda: hotness(window.picture()) < 0.7 * hot, "there is less heat")
    assert window.colour() == frozen


def saved(window: Window) -> list[Path]:
    eventually(lambda: list(window.folder.glob("*.png")), "a snapshot is saved")
    return list(window.folder.glob("*.png"))


def read(path: Path) -> Image:
    found: list[Image] = []

    def can_be_read() -> bool:
        bgr = cv2.imread(str(path))
        found[:] = [] if bgr is None else [np.asarray(bgr[..., ::-1], np.uint8)]
        return bool(found)

    eventually(can_be_read, "the snapshot can be read")
    return found[0]


def test_s_saves_what_is_shown(window: Window) -> None:
    window.press("s")
    (path,) = saved(window)
    picture = read(path)
    assert picture.shape == (480, 640, 3)
    assert min(np.abs(at(picture, PLAIN) - colour).max() for colour in COLOURS) < 12


def test_h_shows_the_help_and_hides_it(window: Window) -> None:
    def is_dark() -> bool:
        picture = window.picture()
        box = picture[int(picture.shape[0] * 0.42) : int(picture.shape[0] * 0.58), int(picture.shape[1] * 0.45) :]
        return bool(np.median(box[:, : picture.shape[1] // 10]) < 60)

    assert not is_dark()
    window.press("h")
    eventually(is_dark, "the help is shown")
    window.press("h")
    eventually(lambda: not is_dark(), "the help is hidden")


@pytest.mark.parametrize("key", ["q", "Escape"])
def test_q_and_escape_end_the_viewer_at_once(key: str, window: Window) -> None:
    window.press(key)
    assert window.process.wait(timeout=2) == 0


def test_closing_the_window_ends_the_viewer(window: Window) -> None:
    window.display.close_window(window.id)
    assert window.process.wait(timeout=3) == 0


def test_a_lost_display_ends_the_viewer(window: Window) -> None:
    window.display.xdotool("windowkill", window.id)
    window.process.wait(timeout=5)


def test_an_opencv_without_windows_is_an_error_for_people(display: Display, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package may have brought opencv-python-headless along, which takes the place of opencv-python."""

    def not_implemented(*_: object) -> None:
        raise cv2.error("The function is not implemented. Rebuild the library with Windows, GTK+ 2.x or Cocoa support")

    monkeypatch.setenv("DISPLAY", display.name)
    monkeypatch.setattr(cv2, "namedWindow", not_implemented)
    with pytest.raises(StreamcamError, match=r"(?i)opencv"):
        show_window("tcp://127.0.0.1:5555")


def test_a_malformed_endpoint_is_one_line_even_where_there_is_a_display(display: Display) -> None:
    done = view("tcp://127.0.0.1", display=display.name)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "not an endpoint" in done.stderr


def test_a_window_waits_for_a_publisher_and_outlives_it(display: Display, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/s"
    with viewing(endpoint, display, tmp_path) as window:
        assert window.colour() is None
        for _ in range(2):
            with publishing(endpoint):
                eventually(lambda: window.colour() is not None, "a published picture is shown")
            eventually(window.is_still, "no more pictures come")
        window.press("q")
        assert window.process.wait(timeout=2) == 0
