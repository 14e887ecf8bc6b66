"""`scripts/bench`, but for what it measures."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

import scripts.benchmarks.__main__ as bench
from scripts.benchmarks.common import Plan, not_run, table, those_that_work
from scripts.benchmarks.transport_worker import QUALITY, age_ms, stamp
from tests.support.paths import DOCS

PAGE = DOCS / "benchmarks.md"


def test_every_point_has_its_place_in_the_page_and_its_command() -> None:
    page = PAGE.read_text()
    for name in (*bench.POINTS, "machine"):
        assert page.count(f"<!-- {name} -->") == page.count(f"<!-- /{name} -->") == 1
    for name in bench.POINTS:
        assert f"scripts/bench --only {name}\n" in page


def test_tables_take_the_place_of_those_before_them_and_nothing_else_changes() -> None:
    page = "before\n<!-- cam -->\n\nold\n\n<!-- /cam -->\nbetween\n<!-- loop -->\nkept\n<!-- /loop -->\n"
    machine = {"processor": "a processor", "cores": 2, "threads": 2, "versions": {"torch": "2", "vidgear": None}}
    new = bench.filled(page, {"machine": machine, "points": {"cam": {"failed": r"it is \1 broken"}}})
    assert new == page.replace("old", r"not run: it is \1 broken")


def test_a_point_that_fails_is_said_to_have_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.benchmarks.cam.measure", lambda _plan: 1 / 0)
    assert bench.measured("cam", quick=True)["failed"] == "ZeroDivisionError: division by zero"


def test_methods_that_cannot_run_have_a_row_that_says_why() -> None:
    def build() -> Callable[[], float]:
        raise ImportError("no such package")

    said: list[str] = []
    turns, absent = those_that_work({"good": lambda: lambda: 1.0, "bad": build}, said.append)
    assert list(turns) == ["good"]
    assert absent == {"bad": "ImportError: no such package"}
    assert "bad" in said[0]
    assert "| bad | not run: ImportError: no such package |  |" in table(("a", "b", "c"), not_run(absent, 3))


def test_a_plan_has_no_less_than_no_time_left() -> None:
    assert Plan(0.0, 1, print).left_s == 0.0


@pytest.mark.parametrize("size", [(640, 480), (1280, 720)])
def test_a_pictures_age_survives_jpeg(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    stamp(picture, 123_456_789_000_000)
    jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    received = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)
    assert age_ms(received, 123_456_789_000_000 + 12_340_000) == pytest.approx(12.34)
