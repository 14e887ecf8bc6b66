"""Drawing a zone in a real browser."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from playwright.sync_api import Page

from streamcam.config.load import make_config
from streamcam.config.yaml_file import parse_yaml
from streamcam.events.zones import zone_mask, zone_scores
from streamcam.heat.results import Link
from streamcam.records import Frame, Heat, Result, Transform
from streamcam.transport.messages import Stamp, decode, encode_result
from streamcam.transport.publisher import Publisher
from tests.support.browser import Web, serious_faults, serving
from tests.support.page_waits import until

pytestmark = pytest.mark.slow

TRANSFORM = Transform(0.05, 0.1, 0.95, 1.0)
CORNERS = [(0.2, 0.2), (0.8, 0.25), (0.7, 0.8), (0.25, 0.7)]
CROSSED = [(0.2, 0.2), (0.8, 0.8), (0.8, 0.2), (0.2, 0.8)]


def heat(*, multi_label: bool) -> Heat:
    """Random heat of 3 of 5 classes in 4 slices; scores and logits agree with it, as a network's do."""
    random = np.random.default_rng(3)
    cube = random.normal(0, 4, (3, 4, 6, 8)).astype(np.float32)
    logits = random.normal(0, 1, 5).astype(np.float32)
    classes = np.array([4, 0, 2])
    common = np.zeros((4, 6, 8), np.float32) if multi_label else cube.mean(0)
    scores = Link(multi_label).scores(logits)
    names = ("moving left", "x" * 60, "waving")
    times = np.array([0.1, 0.2, 0.3, 0.4])
    shape = {"pts_s": times, "clip_pts_s": (0.0, 0.4), "transform": TRANSFORM, "model": "tiny", "model_hash": "0"}
    return Heat(cube, common, classes, names, scores[classes], logits, None, **shape)  # type: ignore[arg-type]


def result(*, multi_label: bool) -> Result:
    image = np.full((240, 320, 3), 110, np.uint8)
    return Result(Frame(image, 7, 0.4, time.time_ns(), "yard"), heat(multi_label=multi_label))


@contextmanager
def camera(*, multi_label: bool = True) -> Iterator[str]:
    """Publish the same result all the time; gives the endpoint."""
    stop, endpoint = Event(), []
    bound = Event()

    def publish() -> None:
        with Publisher("tcp://127.0.0.1:*") as publisher:
            endpoint.append(publisher.endpoint)
            bound.set()
            while not stop.wait(0.05):
                publisher.serve()
                publisher.send_directory(["yard"])
                shown = result(multi_label=multi_label)
                publisher.send_result(shown)
                publisher.offer_picture("frame", shown, lambda one: one.frame.pixels)
                publisher.send_status("yard", {"state": "live"})

    thread = Thread(target=publish)
    thread.start()
    try:
        assert bound.wait(20)
        yield endpoint[0]
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "yard.yaml"
    path.write_text("# mine\nsources: [{uri: sample, name: yard}]\n")
    return path


@pytest.fixture
def web(file: Path) -> Iterator[Web]:
    with camera() as endpoint, serving(endpoint, "--config", str(file), "--allow-edit") as web:
        yield web


def open_view(page: Page, web: Web) -> None:
    page.goto(f"{web.url}#/camera/yard/zone")
    page.wait_for_selector(".zone-scores[data-frame='7']")


def draw(page: Page, corners: list[tuple[float, float]]) -> None:
    box = page.locator(".zone-editor").bounding_box()
    assert box is not None
    for x, y in corners:
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])


def yaml_text(page: Page) -> str:
    until(page, "document.querySelector('.zone-form textarea').value !== ''")
    return page.locator(".zone-form textarea").input_value()


def exact(page: Page) -> list[float]:
    """What the table says of each class, in their order."""
    return [
        float(value)
        for value in page.evaluate("[...document.querySelectorAll('td[data-exact]')].map((d) => d.dataset.exact)")
    ]


def test_what_is_drawn_is_what_the_parser_reads(page: Page, web: Web, file: Path) -> None:
    open_view(page, web)
    draw(page, CORNERS)
    content = parse_yaml(yaml_text(page))
    box = page.locator(".zone-editor").bounding_box()
    assert box is not None
    drawn = np.array(content["zones"]["zone-1"]["polygon"])
    assert np.abs(drawn - CORNERS).max() * max(box["width"], box["height"]) <= 1
    page.fill("input[type=text]", "gate")
    until(page, "document.querySelector('.zone-form textarea').value.includes('gate')")
    page.click("text=Save")
    page.wait_for_selector("text=Saved to yard.yaml")
    zone = make_config({}, file=file).zones["gate"]
    assert np.array(zone.polygon) == pytest.approx(drawn)
    assert zone.source == "yard"
    assert file.read_text().startswith("# mine\n")


def test_the_score_is_that_of_the_rules(page: Page, web: Web) -> None:
    open_view(page, web)
    draw(page, CORNERS)
    polygon = [tuple(corner) for corner in parse_yaml(yaml_text(page))["zones"]["zone-1"]["polygon"]]
    sent = decode(encode_result(result(multi_label=True), Stamp("p", 0, 0))).result
    assert sent is not None
    assert sent.heat is not None
    mask = zone_mask(polygon, TRANSFORM, 6, 8)
    expected = zone_scores(sent.heat, mask, Link(multi_label=True))
    assert page.locator(".zone-scores").get_attribute("data-link") == "sigmoid"
    assert page.locator(".zone-scores").get_attribute("data-slice") == "3"  # at 0.4 s, as the picture
    assert exact(page) == pytest.approx(expected[:, 3].tolist(), abs=1e-4)
    shown = page.locator(".zone-scores tbody td span").all_inner_texts()
    assert shown == [f"{100 * score:.0f}\u00a0%" for score in expected[:, 3]]


def test_masks_are_those_of_python_for_any_polygon(page: Page, web: Web) -> None:
    open_view(page, web)
    random = np.random.default_rng(5)
    for count in (3, 5, 64):
        polygon = random.random((count, 2)).round(4).tolist()
        script = """async ([polygon, transform]) => {
            const { zoneMask } = await import("/page/zone-score.js");
            return [...zoneMask(polygon, transform, 6, 8)];
        }"""
        sides = [TRANSFORM.left, TRANSFORM.top, TRANSFORM.right, TRANSFORM.bottom]
        found = page.evaluate(script, [polygon, sides])
        assert found == pytest.approx(zone_mask(polygon, TRANSFORM, 6, 8).ravel().tolist(), abs=1e-6)


def test_a_softmax_of_some_classes_has_shares_and_never_a_score(page: Page) -> None:
    with camera(multi_label=False) as endpoint, serving(endpoint) as web:
        open_view(page, web)
        draw(page, CORNERS)
        yaml_text(page)
        assert page.locator(".zone-scores").get_attribute("data-link") == ""
        assert "need the heat of all classes" in page.locator(".zone-side").inner_text()
        sent = heat(multi_label=False)
        mask = zone_mask(CORNERS, TRANSFORM, 6, 8)
        expected = (sent.centred[:, 3] * mask).mean((1, 2))
        assert exact(page) == pytest.approx(expected.tolist(), abs=0.03)  # the mouse is at whole pixels
        assert "%" not in page.locator(".zone-scores tbody").inner_text()
        assert page.locator("text=Save").is_hidden()


def test_edges_that_cross_are_shown_and_cannot_be_saved(page: Page, web: Web) -> None:
    open_view(page, web)
    draw(page, CROSSED)
    page.wait_for_selector("text=The edges from corner 1 and from corner 3 cross.")
    assert (page.locator(".crossed").get_attribute("d") or "").count("M") == 2
    assert page.locator("text=Save").is_disabled()
    assert page.locator(".zone-form textarea").input_value() == ""
    assert page.locator(".zone-scores tbody td span").first.inner_text() == "–"
    page.keyboard.press("Control+z")
    yaml_text(page)
    assert page.locator(".corner").count() == 3


def test_the_keyboard_alone_draws_moves_and_removes(page: Page, web: Web) -> None:
    open_view(page, web)
    page.get_by_text("Add a corner").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.ariaLabel").startswith("Corner 1 of 4: 30.0 %")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    polygon = parse_yaml(yaml_text(page))["zones"]["zone-1"]["polygon"]
    assert polygon[0] == [0.305, 0.25]
    page.keyboard.press("+")
    page.keyboard.press("Delete")
    page.keyboard.press("Delete")
    assert page.locator(".corner").count() == 3
    for _ in range(3):
        page.keyboard.press("Control+z")
    assert page.locator(".corner").count() == 4
    assert parse_yaml(yaml_text(page))["zones"]["zone-1"]["polygon"][0] == [0.305, 0.25]


def test_corners_can_be_dragged_and_edges_split(page: Page, web: Web) -> None:
    open_view(page, web)
    draw(page, [(0.2, 0.2), (0.8, 0.2), (0.8, 0.8)])
    draw(page, [(0.5, 0.2)])  # on the first edge
    box = page.locator(".zone-editor").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] - 50)
    page.mouse.up()
    polygon = parse_yaml(yaml_text(page))["zones"]["zone-1"]["polygon"]
    assert len(polygon) == 4
    assert polygon[1] == pytest.approx([0.5, 0], abs=0.01)


def test_a_zone_of_the_file_is_changed(page: Page, web: Web, file: Path) -> None:
    file.write_text(
        "sources: [{uri: sample, name: yard}]\n"
        "zones:\n  gate: {polygon: [[0, 0], [1, 0], [1, 1]], source: yard}  # mine\n"
        "events:\n  way: {classes: [waving], zone: gate}\n"
    )
    open_view(page, web)
    page.select_option(".zone-form select", "gate")
    assert "Rules about it: way" in page.locator(".zone-side").inner_text()
    page.locator(".corner").first.focus()
    page.keyboard.press("ArrowRight")
    page.fill("input[type=text]", "entrance")
    until(page, "document.querySelector('.zone-form textarea').value.includes('entrance')")
    page.click("text=Save")
    page.wait_for_selector("text=Saved to yard.yaml")
    config = make_config({}, file=file)
    assert config.zones["entrance"].polygon[0] == (0.005, 0)
    assert config.events["way"].zone == "entrance"
    assert "# mine" in file.read_text()


def test_a_finger_draws_too(page: Page, web: Web) -> None:
    context = page.context.browser.new_context(has_touch=True, viewport={"width": 360, "height": 740})  # type: ignore[union-attr]
    phone = context.new_page()
    open_view(phone, web)
    box = phone.locator(".zone-editor").bounding_box()
    assert box is not None
    for x, y in [*CORNERS[:2], (0.998, 0.5), *CORNERS[2:]]:
        phone.touchscreen.tap(box["x"] + x * box["width"], box["y"] + y * box["height"])
    assert len(parse_yaml(yaml_text(phone))["zones"]["zone-1"]["polygon"]) == 5
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_it(page: Page, web: Web, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    open_view(page, web)
    draw(page, CORNERS)
    yaml_text(page)
    assert serious_faults(page) == []


def test_the_view_of_a_camera_leads_here_and_back(page: Page, web: Web) -> None:
    page.goto(f"{web.url}#/camera/yard")
    page.click("text=Draw a zone")
    page.wait_for_selector(".zone-scores[data-frame='7']")
    page.keyboard.press("Escape")
    page.wait_for_selector(".camera-head")


def test_a_camera_that_is_not_there_is_named(page: Page, web: Web) -> None:
    page.goto(f"{web.url}#/camera/nobody/zone")
    page.wait_for_selector("text=There is no camera nobody now.")
