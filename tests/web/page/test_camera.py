import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from streamcam.records import Heat, Image
from streamcam.render.overlay import paint
from streamcam.transport.subscriber import Subscriber
from tests.support.browser import Web, serious_faults, serving
from tests.support.page_waits import until
from tests.support.ports import unused_port
from tests.support.publish_demo import COLOURS, FRAMES_PER_COLOUR, HOT_CELLS, LABELS, PEAK, eventually, publishing
from tests.support.puppets import puppets

pytestmark = pytest.mark.slow

CELLS = 7


@pytest.fixture(scope="module")
def moving() -> Iterator[Web]:
    """A page of two cameras that publish on and on."""
    endpoint = f"tcp://127.0.0.1:{unused_port()}"
    with publishing(endpoint, "--sources", "demo", "other", "--seconds", "300"), serving(endpoint) as web:
        yield web


def open_camera(page: Page, web: Web, camera: str = "demo", *, cube: bool = False) -> None:
    """Open the view of a camera, and wait for its picture. The cube is folded away: drawn on a CPU, it takes much."""
    page.add_init_script(f"localStorage.setItem('streamcam', '{json.dumps({'cube': cube})}')")
    page.goto(f"{web.url}#/camera/{camera}")
    until(page, "document.querySelector('.camera-picture canvas')?.dataset.number")


def freeze(page: Page) -> None:
    page.get_by_role("button", name="Freeze").click()


def go_to_oldest(page: Page) -> int:
    """Show the oldest picture; return its number."""
    expect(page.locator(".scrub")).to_be_enabled()  # with one picture there is nothing to choose from
    page.locator(".scrub").press("Home")
    until(page, "document.querySelector('.scrub').value === '0'")
    return shown_number(page)


def shown_number(page: Page) -> int:
    """The number of the picture that is on the canvas."""
    return int(page.evaluate("document.querySelector('.camera-picture canvas').dataset.number"))


def canvas(page: Page) -> Image:
    """What is on the canvas, RGB."""
    url = page.evaluate("document.querySelector('.camera-picture canvas').toDataURL('image/png')")
    return decode_png(base64.b64decode(url.partition(",")[2]))


def decode_png(data: bytes) -> Image:
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def choose(page: Page, label: str) -> None:
    page.get_by_role("radio", name=label, exact=True).check()


def cell(image: Image, place: tuple[float, float]) -> Image:
    """The part of a picture that lies in the heat cell of a place."""
    height, width = image.shape[:2]
    column, row = int(place[0] * CELLS), int(place[1] * CELLS)
    return image[row * height // CELLS : (row + 1) * height // CELLS, column * width // CELLS :][:, : width // CELLS]


def strength(image: Image, background: Image) -> float:
    """How much a part of a picture differs from another."""
    return float(np.abs(image.astype(float) - background).mean())


def test_choosing_a_class_paints_its_heat_and_no_other_while_frozen(page: Page, moving: Web) -> None:
    open_camera(page, moving)
    freeze(page)
    go_to_oldest(page)
    page.get_by_label("Opacity").fill("0")
    bare = canvas(page)
    page.get_by_label("Opacity").fill("1")
    for label, place in zip(LABELS[:2], HOT_CELLS[:2], strict=True):  # the third is too improbable to be seen
        choose(page, label)
        painted = canvas(page)
        assert strength(cell(painted, place), cell(bare, place)) > 5
        for other in set(HOT_CELLS) - {place}:
            assert strength(cell(painted, other), cell(bare, other)) < 0.5


def last_of(endpoint: str, index: int) -> tuple[Image, Heat]:
    """The picture and the heat of a frame that is the last."""
    pictures, heats = [], []
    with Subscriber(endpoint, kinds=("frame", "result")) as subscriber:
        for message in subscriber.messages(timeout_s=5):
            if message.result is None or message.result.frame.index != index:
                continue
            if message.header.kind == "frame":
                pictures.append(message.result.frame.pixels)
            elif message.result.heat is not None:
                heats.append(message.result.heat)
            if pictures and heats:
                return pictures[0], heats[0]
    raise AssertionError(f"picture and heat number {index} did not come")


def test_heat_is_painted_as_overlays_have_it(page: Page) -> None:
    endpoint = f"tcp://127.0.0.1:{unused_port()}"
    with publishing(endpoint, "--results", "30", "--fps", "50"), serving(endpoint) as web:
        image, heat = last_of(endpoint, 29)
        open_camera(page, web)
        eventually(lambda: shown_number(page) == 29, "the last picture is shown")
        for k, label in enumerate(LABELS):
            choose(page, label)
            difference = np.abs(canvas(page).astype(int) - paint(image, heat, k=k, pts_s=29 / 20, scale=PEAK))
            assert difference.mean() < 0.5
            assert np.quantile(difference, 0.999) <= 12


def test_a_wider_scale_paints_less(page: Page, moving: Web) -> None:
    open_camera(page, moving)
    freeze(page)
    go_to_oldest(page)
    page.get_by_label("Opacity").fill("0")
    bare = canvas(page)
    page.locator(".paint").get_by_role("button", name="Reset").click()
    as_is = strength(canvas(page), bare)
    page.get_by_label("Full strength at").fill("1")
    assert page.locator(".paint").inner_text().count("16.0 logit units, × 2.00") == 1
    assert 0 < strength(canvas(page), bare) < as_is


def test_scrubbing_shows_the_picture_of_the_moment(page: Page, moving: Web) -> None:
    open_camera(page, moving)
    eventually(
        lambda: int(page.locator(".scrub").get_attribute("max") or 0) > 2 * FRAMES_PER_COLOUR, "a second has come"
    )
    newest = shown_number(page)
    oldest = go_to_oldest(page)
    assert oldest < newest
    colours = set()
    for steps in range(2 * FRAMES_PER_COLOUR):
        number = shown_number(page)
        assert number >= oldest + steps
        expected = COLOURS[number // FRAMES_PER_COLOUR % len(COLOURS)]
        assert np.abs(canvas(page)[5, 5].astype(int) - expected).max() <= 3
        colours.add(expected)
        page.locator(".scrub").press("ArrowRight")
        eventually(lambda before=number: shown_number(page) > before, "the next picture is shown")  # type: ignore[misc]
    assert len(colours) >= 2


def test_dragging_on_the_timeline_goes_there_and_live_comes_back(page: Page, moving: Web) -> None:
    open_camera(page, moving)
    eventually(lambda: int(page.locator(".scrub").get_attribute("max") or 0) > 40, "two seconds have come")
    page.locator(".u-over").scroll_into_view_if_needed()
    box = page.locator(".u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 20)
    page.mouse.down()
    eventually(
        lambda: page.get_by_role("button", name="Freeze").get_attribute("aria-pressed") == "true", "it is frozen"
    )
    there = shown_number(page)
    page.mouse.move(box["x"] + box["width"] * 0.98, box["y"] + 20, steps=3)
    eventually(lambda: shown_number(page) < there, "an older picture is shown")
    page.mouse.up()
    frozen_at = shown_number(page)
    page.keyboard.press("l")
    eventually(lambda: shown_number(page) > frozen_at + 10, "it is live again")


def test_a_frozen_picture_stays(page: Page, moving: Web) -> None:
    open_camera(page, moving)
    page.keyboard.press("Space")
    number, picture = shown_number(page), canvas(page)
    before = int(page.locator(".scrub").get_attribute("max") or 0)
    eventually(
        lambda: int(page.locator(".scrub").get_attribute("max") or 0) > before + 15, "pictures come all the same"
    )
    assert shown_number(page) == number
    assert np.array_equal(canvas(page), picture)
    page.keyboard.press("Space")
    eventually(lambda: shown_number(page) > number, "it goes on")


def test_a_snapshot_is_the_picture_as_shown(page: Page, moving: Web, tmp_path: Path) -> None:
    open_camera(page, moving)
    freeze(page)
    with page.expect_download() as download:
        page.keyboard.press("s")
    assert re.fullmatch(r"streamcam-demo-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.png", download.value.suggested_filename)
    path = tmp_path / "snapshot.png"
    download.value.save_as(path)
    assert np.array_equal(decode_png(path.read_bytes()), canvas(page))


def test_a_new_session_begins_with_an_empty_history(page: Page) -> None:
    endpoint = f"tcp://127.0.0.1:{unused_port()}"
    with serving(endpoint) as web:
        with publishing(endpoint):
            open_camera(page, web)
            eventually(lambda: int(page.locator(".scrub").get_attribute("max") or 0) > 20, "a second has come")
            freeze(page)
        until(page, "document.querySelector('.camera-state').dataset.state === 'silent'")
        number = shown_number(page)
        with publishing(endpoint):
            page.get_by_text("Its last minute begins anew").wait_for()
            eventually(
                lambda: page.get_by_role("button", name="Freeze").get_attribute("aria-pressed") == "false", "live"
            )
            eventually(lambda: shown_number(page) != number, "the new session is shown")
            oldest = go_to_oldest(page)
            assert oldest < 20 < int(page.locator(".scrub").get_attribute("max") or 0) + 20


def test_keys_lead_to_other_cameras_and_back(page: Page, moving: Web) -> None:
    open_camera(page, moving)
    page.keyboard.press("]")
    page.get_by_role("heading", name="other").wait_for()
    page.keyboard.press("[")
    page.get_by_role("heading", name="demo").wait_for()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog", name="Keys").wait_for(state="hidden")
    assert page.url.endswith("#/camera/demo")
    page.keyboard.press("Escape")
    eventually(lambda: page.url.endswith("#/"), "it shows all cameras")


def test_arrows_belong_to_what_has_the_focus(page: Page, moving: Web) -> None:
    open_camera(page, moving)
    page.get_by_label("Opacity").press("ArrowLeft")
    assert page.get_by_label("Opacity").input_value() == "0.55"
    page.get_by_role("radio", name="teapot", exact=True).check()
    page.get_by_role("radio", name="teapot", exact=True).press("ArrowRight")
    assert not page.get_by_role("radio", name="teapot", exact=True).is_checked()
    assert page.get_by_role("button", name="Freeze").get_attribute("aria-pressed") == "false"
    page.get_by_role("heading", name="demo").click()  # nothing has the focus
    page.keyboard.press("ArrowLeft")
    eventually(
        lambda: page.get_by_role("button", name="Freeze").get_attribute("aria-pressed") == "true", "it steps back"
    )


def test_a_camera_that_is_not_there_is_said_to_be_missing(page: Page, moving: Web) -> None:
    page.goto(f"{moving.url}#/camera/nobody")
    page.get_by_text("No publisher has a camera named nobody.").wait_for()


def test_a_screen_reader_is_told_what_is_sure(page: Page, moving: Web) -> None:
    open_camera(page, moving)
    eventually(lambda: page.locator(".unseen[role=status]").text_content() == "It sees teapot 80\u00a0%.", "it is said")
    name = page.locator(".camera-picture canvas").get_attribute("aria-label") or ""
    assert name == "Picture of demo with the heat of teapot. It sees teapot 80\u00a0%."


def test_the_cube_shows_the_class_that_is_chosen(page: Page, moving: Web) -> None:
    open_camera(page, moving)
    choose(page, "kettle")
    page.locator(".cube-panel summary").click()
    page.locator(".cube-panel > div").scroll_into_view_if_needed()
    until(page, "document.querySelector('.cube-panel canvas')?.ariaLabel.includes('kettle')", timeout_s=60)
    page.locator(".cube-panel summary").click()
    eventually(lambda: not page.locator(".cube-panel canvas").is_visible(), "it is folded away")


def test_a_device_that_draws_the_cube_too_slowly_gets_it_folded(page: Page, moving: Web) -> None:
    page.set_viewport_size({"width": 1280, "height": 1600})
    open_camera(page, moving, cube=True)
    page.evaluate("setInterval(() => { const end = performance.now() + 700; while (performance.now() < end); }, 1)")
    page.get_by_text("The heat cube was folded away").wait_for(timeout=60_000)
    assert page.locator(".cube-panel").get_attribute("open") is None


def test_a_picture_waits_for_its_heat_unless_the_viewer_wants_it_at_once(page: Page) -> None:
    with puppets("yard") as cameras:
        cameras["yard"].lookahead_s = 2.0
        with serving(cameras.endpoint) as web:
            open_camera(page, web, "yard")
            slider = page.locator(".scrub")
            behind = "document.querySelector('.moment').textContent"
            eventually(lambda: "live" in page.evaluate(behind), "it is live")
            age = "parseFloat(document.querySelector('#fact-age').textContent)"
            unit = "document.querySelector('#fact-age').textContent.split('\\u00a0')[1]"
            eventually(lambda: page.evaluate(unit) == "s" and page.evaluate(age) >= 2, "the picture is two seconds old")
            page.get_by_label("Pictures wait for their heat").uncheck()
            eventually(lambda: page.evaluate(unit) == "ms" or page.evaluate(age) < 1.5, "it is shown at once")
            assert slider.is_enabled()


def test_an_event_is_marked_and_leads_to_its_peak(page: Page) -> None:
    with puppets("yard") as cameras, serving(cameras.endpoint) as web:
        open_camera(page, web, "yard")
        cameras["yard"].happen("wrong-way")
        button = page.get_by_role("button", name="wrong-way: teapot 90")
        button.wait_for()
        cameras["yard"].happen("wrong-way", "end")
        eventually(lambda: "since" not in button.inner_text(), "it is over")
        eventually(lambda: int(page.locator(".scrub").get_attribute("max") or 0) > 20, "the peak has come")
        button.click()
        eventually(lambda: "before the newest" in page.locator(".moment").inner_text(), "a moment is shown")


def test_a_camera_that_comes_back_in_a_new_session_says_so(page: Page) -> None:
    with puppets("yard") as cameras, serving(cameras.endpoint) as web:
        open_camera(page, web, "yard")
        cameras["yard"].state, cameras["yard"].reason = "lost", "connection refused"
        page.get_by_text("lost: connection refused").first.wait_for()
        cameras["yard"].session, cameras["yard"].state = 1, "live"
        page.get_by_text("Its last minute begins anew").wait_for()
        until(page, "document.querySelector('#fact-session').textContent === '1'")


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_long_names_overflow_nowhere(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    names = {"a" * 60: 0.9, "two words " * 6: 0.7, "kettle": 0.1}
    with puppets("c" * 60) as cameras:
        cameras["c" * 60].classes = names
        with serving(cameras.endpoint) as web:
            open_camera(page, web, "c" * 60)
            page.get_by_role("radio", name="kettle").wait_for()
            cameras["c" * 60].happen("a" * 48)
            page.get_by_role("button", name="a" * 48).wait_for()
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
            overflowing = """[...document.querySelectorAll('.camera *')].filter((e) => e.clientWidth
                && !['auto', 'hidden'].includes(getComputedStyle(e).overflowX)
                && e.scrollWidth > e.clientWidth + 1).map((e) => e.className || e.tagName)"""
            assert page.evaluate(overflowing) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_view_has_no_serious_faults_for_those_who_see_or_hear_it(
    page: Page, moving: Web, scheme: Literal["light", "dark"]
) -> None:
    page.emulate_media(color_scheme=scheme)
    open_camera(page, moving)
    page.locator(".cube-panel summary").click()
    page.locator(".cube-panel > div").scroll_into_view_if_needed()
    page.locator(".cube-panel canvas").wait_for()
    assert serious_faults(page) == []


def test_history_keeps_within_its_bytes_and_thins_the_oldest(page: Page, moving: Web) -> None:
    page.goto(moving.url)
    kept = page.evaluate(
        """async () => {
          const { Track } = await import("/page/history.js"), track = new Track(1000);
          for (let i = 0; i < 5000; i++) track.add({ atMs: i, bytes: 10 });
          return { bytes: track.bytes, times: track.moments.map((moment) => moment.atMs) };
        }"""
    )
    times = kept["times"]
    assert kept["bytes"] == 10 * len(times) <= 1000
    assert times == sorted(times)
    assert times[-10:] == list(range(4990, 5000))  # the newest are all there
    gaps = np.diff(times)
    assert gaps[: len(gaps) // 4].mean() > gaps[-len(gaps) // 4 :].mean()
