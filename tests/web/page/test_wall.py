"""The wall, in a real Chromium."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from streamcam.transport.keys import make_keys
from tests.support.browser import Web, serious_faults, serving
from tests.support.page_waits import until
from tests.support.ports import unused_port
from tests.support.publish_demo import publishing
from tests.support.puppets import Puppets, puppets
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

LONG = "a-name-of-sixty-letters-that-does-not-end-where-it-ought-to."
CORNER = "canvas => canvas.getContext('2d').getImageData(2, 2, 1, 1).data.join()"
MIDDLE = "canvas => canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data.join()"
TOO_WIDE = """tile => [...tile.querySelectorAll('*')].filter(
    part => part.getBoundingClientRect().right > tile.getBoundingClientRect().right
).map(part => part.className)"""
SILENT = "document.querySelector('.tile .trouble').textContent.includes('its publisher says nothing')"


@pytest.fixture
def cameras() -> Iterator[Puppets]:
    with puppets("door", "yard", "lane") as publishing:
        yield publishing


@pytest.fixture
def web(cameras: Puppets) -> Iterator[Web]:
    with serving(cameras.endpoint) as running:
        yield running


def tile(page: Page, name: str) -> Locator:
    return page.get_by_role("link", name=name, exact=True)


def order(page: Page) -> list[str]:
    return page.locator(".tile .name").all_inner_texts()


def wait_for_picture(page: Page, name: str) -> None:
    expect(tile(page, name).locator(".frame canvas")).to_be_visible()


def test_pictures_advance_with_their_heat_and_words(page: Page, web: Web, cameras: Puppets) -> None:
    page.goto(web.url)
    wait_for_picture(page, "door")
    canvas = tile(page, "door").locator(".frame canvas")
    before = canvas.evaluate(CORNER)
    wait_until(lambda: canvas.evaluate(CORNER) != before, "the picture changes")
    assert canvas.evaluate(f"canvas => ({CORNER})(canvas) !== ({MIDDLE})(canvas)"), "the middle is hot"
    expect(tile(page, "door").locator(".words")).to_have_text(re.compile("teapot 80\u00a0%"))
    expect(tile(page, "door").locator(".facts")).to_have_text(re.compile(r"0\.\d\d.s[1-9]\d?.fps0.dropped"))


def test_what_is_none_of_these_is_never_named(page: Page, web: Web, cameras: Puppets) -> None:
    cameras["door"].classes = {"none of these": 0.9, "cat": 0.1}
    page.goto(web.url)
    expect(tile(page, "door").locator(".words")).to_have_text("nothing sure")
    expect(tile(page, "door").locator(".top-class")).to_have_text(re.compile("cat"))
    expect(page.locator("body")).not_to_contain_text("none of these")


def test_a_lost_camera_says_why(page: Page, web: Web, cameras: Puppets) -> None:
    page.goto(web.url)
    wait_for_picture(page, "yard")
    cameras["yard"].state, cameras["yard"].reason = "lost", "connection refused"
    trouble = tile(page, "yard").locator(".trouble")
    expect(trouble).to_have_text("lostconnection refused", timeout=2000)
    expect(page.locator(".count")).to_have_text("3 cameras, 1 lost")
    expect(tile(page, "yard")).to_have_accessible_description(re.compile("lost: connection refused"))
    cameras["yard"].state, cameras["yard"].reason = "live", None
    expect(trouble).to_be_hidden()


def test_a_publisher_that_dies_says_so_within_two_seconds_and_comes_back(page: Page) -> None:
    port = unused_port()
    with serving(f"tcp://127.0.0.1:{port}") as web:
        with publishing(f"tcp://127.0.0.1:{port}") as demo:
            page.goto(web.url)
            wait_for_picture(page, "demo")
            expect(tile(page, "demo").locator(".state")).to_have_text("live")
            demo.process.kill()
            until(page, SILENT, timeout_s=2)
            demo.process.wait()
        with publishing(f"tcp://127.0.0.1:{port}"):
            expect(tile(page, "demo").locator(".trouble")).to_be_hidden(timeout=10_000)


def test_tiles_are_sorted_as_chosen_and_the_choice_is_kept(page: Page, web: Web, cameras: Puppets) -> None:
    cameras["door"].classes = cameras["lane"].classes = {"teapot": 0.2}
    page.goto(web.url)
    expect(page.locator(".tile")).to_have_count(3)
    wait_for_picture(page, "lane")
    assert order(page) == ["door", "lane", "yard"]
    cameras["lane"].happen("wrong-way", "end")
    expect(tile(page, "lane").locator(".event")).to_contain_text("wrong-way")
    page.get_by_label("Sort by").select_option("newest event")
    assert order(page)[0] == "lane"
    page.get_by_label("Sort by").select_option("activity")
    expect(page.locator(".tile .name").first).to_have_text("yard", timeout=10_000)
    page.reload()
    expect(page.get_by_label("Sort by")).to_have_value("activity")


def test_an_event_marks_its_camera_while_it_goes_on(page: Page, web: Web, cameras: Puppets) -> None:
    page.goto(web.url)
    wait_for_picture(page, "lane")
    cameras["lane"].happen("wrong-way", zone="gate")
    mark = tile(page, "lane").locator(".mark")
    expect(mark).to_have_text("event: wrong-way in gate")
    cameras["lane"].happen("wrong-way", "end", zone="gate")
    expect(mark).to_be_hidden()
    expect(tile(page, "lane").locator(".event")).to_have_text(re.compile(r"\d.s ago: wrong-way in gate"))


def test_a_keyboard_is_enough(page: Page, web: Web) -> None:
    page.set_viewport_size({"width": 800, "height": 900})  # door lane
    page.goto(web.url)  #                                     yard
    expect(page.locator(".tile")).to_have_count(3)
    wait_for_picture(page, "yard")
    tile(page, "door").focus()
    page.keyboard.press("ArrowRight")
    expect(tile(page, "lane")).to_be_focused()
    page.keyboard.press("End")
    expect(tile(page, "yard")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(tile(page, "door")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("#/camera/door$"))
    page.go_back()
    expect(tile(page, "door")).to_be_focused()


@pytest.mark.parametrize("address", ["nothing", "constructor", "__proto__", "camera", "camera/"])
def test_an_address_that_names_no_view_shows_the_wall(page: Page, web: Web, address: str) -> None:
    page.goto(f"{web.url}#/{address}")
    expect(page.locator(".tile")).to_have_count(3)
    expect(page.get_by_role("link", name="Cameras")).to_have_attribute("aria-current", "page")


def test_only_what_can_be_seen_is_asked_for(page: Page) -> None:
    with puppets(*(f"cam{number}" for number in range(24))) as cameras, serving(cameras.endpoint) as web:
        sent: list[str] = []
        page.on("websocket", lambda socket: socket.on("framesent", lambda data: sent.append(str(data))))
        page.goto(web.url)
        wait_for_picture(page, "cam0")
        expect(page.locator(".tile")).to_have_count(24)
        asked = [message for message in sent if "want" in message][-1]
        assert '"cam0":["event","frame","result","status"]' in asked
        assert '"cam23":["event","status"]' in asked
        tile(page, "cam23").scroll_into_view_if_needed()
        wait_for_picture(page, "cam23")
        assert order(page)[1:3] == ["cam1", "cam2"]
        tile(page, "cam1").click()
        page.get_by_role("heading", name="cam1").wait_for()
        page.keyboard.press("]")
        page.get_by_role("heading", name="cam2", exact=True).wait_for()


def test_pictures_wait_for_their_heat_but_the_first_does_not(page: Page, web: Web, cameras: Puppets) -> None:
    cameras["door"].lookahead_s, cameras["yard"].lookahead_s = 1.0, 60.0
    page.goto(web.url)
    wait_for_picture(page, "yard")
    latency = tile(page, "door").locator(".facts span").first
    expect(latency).to_have_text(re.compile(r"1\.\d\d.s"))
    page.get_by_label("Pictures").select_option("as soon as they come")
    expect(latency).to_have_text(re.compile(r"0\.\d\d.s"))


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_names_of_sixty_letters_overflow_nothing(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 640})
    names = [LONG, *(f"cam{number}" for number in range(5))]
    with puppets(*names) as cameras, serving(cameras.endpoint) as web:
        for camera in cameras.values():
            camera.classes = {LONG: 0.9, LONG[1:]: 0.8, LONG[2:]: 0.7}
        page.goto(web.url)
        wait_for_picture(page, LONG)
        cameras[LONG].happen("a-rule-whose-name-has-all-the-letters-it-may-ha")
        expect(tile(page, LONG).locator(".mark")).to_be_visible()
        expect(tile(page, LONG).locator(".words b")).to_have_count(3)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert tile(page, LONG).evaluate(TOO_WIDE) == []
        assert tile(page, LONG).locator(".words .cut").first.get_attribute("title") == LONG


@pytest.mark.parametrize(
    ("count", "width", "height", "columns"),
    [
        (1, 1256, 680, 1),  # a picture as high as the window
        (4, 1256, 680, 2),
        (4, 1256, 400, 4),  # a low window
        (2, 600, 1000, 1),
        (16, 1256, 680, 4),  # too many: as many as fit beside each other
        (4, 366, 700, 1),  # a phone
        (16, 296, 500, 2),
    ],
)
def test_tiles_are_as_large_as_they_can_be(
    page: Page, web: Web, count: int, width: int, height: int, columns: int
) -> None:
    page.goto(web.url)
    room = {"count": count, "ratio": 16 / 9, "rem": 16, "width": width, "height": height, "words": 120}
    arranged = page.evaluate("async room => (await import('/page/wall.js')).arrange(room)", room)
    assert arranged["columns"] == columns
    assert (arranged["widest"] or 0) <= width


def test_the_page_survives_a_restart_of_its_server(page: Page, cameras: Puppets) -> None:
    port = unused_port()
    with serving(cameras.endpoint, port=port) as web:
        page.goto(web.url)
        wait_for_picture(page, "door")
    banner = page.locator("#connection")
    expect(banner).to_contain_text("No connection to the server")
    expect(tile(page, "door").locator(".trouble")).to_contain_text("no connection to the server")
    page.evaluate("window.same = true")
    with serving(cameras.endpoint, port=port):
        expect(banner).to_have_text("", timeout=10_000)
        expect(tile(page, "door").locator(".state")).to_have_text("live")
        expect(tile(page, "door").locator(".trouble")).to_be_hidden()
        assert page.evaluate("window.same")


def test_a_token_that_has_changed_is_asked_for(page: Page, cameras: Puppets, tmp_path: Path) -> None:
    port, file = unused_port(), tmp_path / "token"
    for token in ("the-first-of-two-tokens", "the-second-of-two-tokens"):
        file.write_text(token)
        with serving(cameras.endpoint, "--token-file", str(file), port=port) as web:
            if page.url == "about:blank":
                page.goto(web.url)
            page.get_by_label("Token").fill(token)
            page.keyboard.press("Enter")
            wait_for_picture(page, "door")


def test_without_cameras_it_says_what_to_do(page: Page) -> None:
    with serving(f"tcp://127.0.0.1:{unused_port()}") as web:
        page.goto(web.url)
        expect(page.get_by_text("streamcam run sample --loop")).to_be_visible()


def test_a_publisher_that_refuses_says_why(page: Page, tmp_path: Path) -> None:
    make_keys("server", tmp_path)
    with publishing(f"tcp://127.0.0.1:{unused_port()}", "--keys", str(tmp_path)) as demo, serving(demo.endpoint) as web:
        page.goto(web.url)
        expect(page.locator(".refusal")).to_contain_text("The publisher refuses this page's server: it closes")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(browser: Browser, scheme: str, web: Web, cameras: Puppets) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    page = context.new_page()
    cameras["yard"].state, cameras["yard"].reason = "lost", "connection refused"
    page.goto(web.url)
    wait_for_picture(page, "lane")
    cameras["lane"].happen("wrong-way")
    expect(tile(page, "lane").locator(".mark")).to_be_visible()
    expect(tile(page, "yard").locator(".trouble")).to_be_visible()
    assert serious_faults(page) == []
    context.close()
