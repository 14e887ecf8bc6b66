"""Events in a real browser: the list, and the clip of one with its heat."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty, Queue
from threading import Event as Flag
from threading import Thread

import pytest
from playwright.sync_api import Page, expect

from streamcam.event import Event
from streamcam.events.store.event_store import EventStore
from streamcam.transport.publisher import Publisher
from tests.support.browser import Web, serious_faults, serving
from tests.support.page_waits import until
from tests.support.saved import NOON_NS, SECOND_NS, make_event, save
from tests.support.saved_clip import save_playable

pytestmark = pytest.mark.slow

LONG = "w" * 48


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """62 events in turn of three rules; the newest can be played."""
    root = tmp_path_factory.mktemp("events")
    for minute in range(61):
        rule = ("way", "fall", LONG)[minute % 3]
        save(root, make_event(NOON_NS + minute * 10 * SECOND_NS, rule=rule, source=f"yard-{minute % 2}"))
    save_playable(root)
    EventStore(root).close()
    return root


@pytest.fixture(scope="module")
def web(root: Path) -> Iterator[Web]:
    with serving("tcp://127.0.0.1:9", "--events", str(root)) as web:
        yield web


@contextmanager
def telling() -> Iterator[tuple[str, "Queue[Event]"]]:
    """Publish a camera, and the events that are put into the queue; gives the endpoint, too."""
    stop, bound, endpoint, events = Flag(), Flag(), [], Queue[Event]()

    def publish() -> None:
        with Publisher("tcp://127.0.0.1:*") as publisher:
            endpoint.append(publisher.endpoint)
            bound.set()
            while not stop.wait(0.05):
                publisher.serve()
                publisher.send_directory(["yard"])
                publisher.send_status("yard", {"state": "live"})
                with suppress(Empty):
                    publisher.send_event(events.get_nowait())

    thread = Thread(target=publish)
    thread.start()
    try:
        assert bound.wait(20)
        yield endpoint[0], events
    finally:
        stop.set()
        thread.join()


def rules(page: Page) -> list[str]:
    return page.locator(".event-card strong").all_inner_texts()


def test_the_list_has_the_newest_first_and_more_on_demand(page: Page, web: Web) -> None:
    page.goto(f"{web.url}#/events")
    expect(page.locator(".count")).to_have_text("62 events, 50 shown")
    expect(page.locator(".event-card")).to_have_count(50)
    page.click("text=Load more")
    expect(page.locator(".event-card")).to_have_count(62)
    expect(page.locator("text=Load more")).to_be_hidden()
    times = page.locator(".event-card time").evaluate_all("all => all.map((one) => one.dateTime)")
    assert times == sorted(times, reverse=True)


def test_filters_choose_and_are_kept(page: Page, web: Web) -> None:
    page.goto(f"{web.url}#/events")
    page.select_option("label:has-text('Rule') select", "fall")
    expect(page.locator(".event-card")).to_have_count(20)
    assert set(rules(page)) == {"fall"}
    page.select_option("label:has-text('Camera') select", "yard-1")
    expect(page.locator(".event-card")).to_have_count(10)
    page.locator(".event-card").first.click()
    page.wait_for_selector(".event-facts")
    page.keyboard.press("]")  # the older one, of the same filters
    until(page, "document.querySelectorAll('.event-facts dd').length > 4")
    expect(page.locator("h1")).to_have_text("fall")
    page.keyboard.press("Escape")
    expect(page.locator(".event-card")).to_have_count(10)
    page.select_option("label:has-text('Zone') select", "gate")
    page.select_option("label:has-text('Rule') select", "way")
    page.select_option("label:has-text('Time') select", "1")
    expect(page.locator(".notice")).to_have_text("No event fits these filters.")


def test_arrow_keys_go_from_event_to_event(page: Page, web: Web) -> None:
    page.goto(f"{web.url}#/events")
    page.locator(".event-card").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement === document.querySelectorAll('.event-card')[1]")
    page.keyboard.press("Enter")
    page.wait_for_selector(".event-facts dd")


def test_times_are_those_of_the_viewers_own_zone(web: Web, page: Page) -> None:
    assert page.context.browser is not None
    context = page.context.browser.new_context(timezone_id="Asia/Tokyo", locale="en-GB")
    there = context.new_page()
    there.goto(f"{web.url}#/events")
    expect(there.locator(".event-card time").first).to_have_text("30 Nov 2026, 22:00:00")
    context.close()


def test_the_clip_plays_with_its_heat_over_it(page: Page, web: Web) -> None:
    page.goto(f"{web.url}#/events")
    page.locator(".event-card").first.click()
    until(page, "document.querySelector('video')?.readyState >= 2")
    page.click(".tools button")
    until(page, "document.querySelector('video').currentTime > 2.2")
    page.click(".tools button")
    opaque = """() => {
        const canvas = document.querySelector(".over"), context = canvas.getContext("2d");
        const alpha = (x, y) => context.getImageData(x * canvas.width, y * canvas.height, 1, 1).data[3];
        return [alpha(0.875, 0.875), alpha(0.2, 0.2), alpha(0.5, 0.2)];
    }"""
    hot, *cold = page.evaluate(opaque)
    assert hot > 60  # the middle of the hot cell
    assert max(cold) <= 5
    page.uncheck("label:has-text('Heat') input")
    assert page.evaluate(opaque)[0] == 0
    page.check("label:has-text('Heat') input")
    page.evaluate("document.querySelector('video').currentTime = 0.2")  # 8.2 s: before the event
    until(page, "!document.querySelector('video').seeking")
    page.wait_for_timeout(200)
    assert page.evaluate(opaque)[0] == 0


def test_a_click_into_the_scores_goes_to_that_moment(page: Page, web: Web) -> None:
    page.goto(f"{web.url}#/events")
    page.locator(".event-card").first.click()
    until(page, "document.querySelector('video')?.readyState >= 2")
    words = page.locator(".score-bar").get_attribute("aria-label")
    assert words == "The event begins at 2.0 s of the clip, has its peak at 3.0 s, and ends at 4.5 s."
    page.locator(".score-bar").click()  # into its middle
    until(page, "Math.abs(document.querySelector('video').currentTime - 3) < 0.1")


def test_a_clip_that_no_browser_plays_can_be_downloaded(page: Page, web: Web) -> None:
    page.goto(f"{web.url}#/events")
    page.locator(".event-card").nth(1).click()
    expect(page.locator(".clip")).to_contain_text("This browser cannot play the clip. Download it")


def test_files_are_downloaded_under_a_name_that_says_what_they_are(page: Page, web: Web) -> None:
    page.goto(f"{web.url}#/events")
    page.locator(".event-card").first.click()
    with page.expect_download() as download:
        page.click("text=Download heat.npz")
    assert download.value.suggested_filename.endswith("-yard-way-heat.npz")


def test_what_happens_now_is_at_the_top_and_gets_its_picture(page: Page, tmp_path: Path) -> None:
    save(tmp_path, make_event())
    with telling() as (endpoint, events), serving(endpoint, "--events", str(tmp_path)) as web:
        page.goto(f"{web.url}#/events")
        expect(page.locator(".event-card")).to_have_count(1)
        until(page, "document.querySelector('.count').textContent === '1 event'")
        now = make_event(NOON_NS + 9000 * SECOND_NS, rule="now")
        deadline = page.locator(".event-card .going:visible")
        for _ in range(100):  # the browser's subscription comes to the publisher in its own time
            events.put(replace(now, state="start", reason=None))
            if deadline.count():
                break
            page.wait_for_timeout(100)
        assert rules(page)[0] == "now"
        expect(page.locator(".event-card .picture").first).to_have_text("its picture comes once it is over")
        events.put(save_playable(tmp_path, now))
        saved = replace(now, state="saved", files=("clip.mp4", "snapshot.jpg", "heat.npz", "event.json"))
        with EventStore(tmp_path):
            pass
        events.put(saved)
        expect(page.locator(".event-card img").first).to_be_visible()
        expect(page.locator(".event-card .going:visible")).to_have_count(0)
        expect(page.locator(".count")).to_have_text("2 events")


def test_without_a_folder_and_without_events_it_says_what_to_do(page: Page) -> None:
    with serving("tcp://127.0.0.1:9") as web:
        page.goto(f"{web.url}#/events")
        expect(page.locator(".notice")).to_contain_text("start streamcam web with --events FOLDER")


def test_an_event_that_is_not_there_is_named(page: Page, web: Web) -> None:
    page.goto(f"{web.url}#/events/nothing")
    page.wait_for_selector("text=There is no event 'nothing'")


def test_what_is_told_of_now_is_listed_without_a_folder(page: Page) -> None:
    with telling() as (endpoint, events), serving(endpoint) as web:
        page.goto(f"{web.url}#/events")
        page.wait_for_selector("text=No events yet")
        for _ in range(100):
            events.put(make_event(rule="now"))
            if page.locator(".event-card").count():
                break
            page.wait_for_timeout(100)
        assert rules(page) == ["now"]
        page.locator(".event-card").click()
        expect(page.locator(".event-facts")).to_contain_text("its score fell")
        page.wait_for_selector("text=Its files are not here.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_everybody_can_use_it_at_any_width(page: Page, web: Web, scheme: str, width: int) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 700})
    page.goto(f"{web.url}#/events")
    page.wait_for_selector(".event-card")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert serious_faults(page) == []
    page.locator(".event-card").first.click()
    until(page, "document.querySelector('video')?.readyState >= 2")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert serious_faults(page) == []
