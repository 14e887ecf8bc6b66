"""What the heat cube shows, seen in a real Chromium that draws on the CPU: no graphics card is needed."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from playwright.sync_api import Browser

from streamcam.records import Result, Transform
from tests.support.browser import serious_faults
from tests.support.cube_page import CubePage, cube_page, heat_result, messages_of, webgl_chromium
from tests.support.publish_demo import HOT_CELLS, PEAK, eventually, result_of

pytestmark = pytest.mark.slow

CELLS = 7


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with webgl_chromium() as running:
        yield running


@pytest.fixture
def cube(browser: Browser) -> Iterator[CubePage]:
    with cube_page(browser) as page:
        yield page


def hot_in(slices: set[int], *, of: int = 4, cell: tuple[int, int] = (3, 3), **changes: object) -> Result:
    """A result with 3 classes, the first of which is hot in one cell (row, column) of some slices."""
    heat = np.zeros((3, of, CELLS, CELLS))
    heat[0, sorted(slices), cell[0], cell[1]] = PEAK
    return heat_result(heat, result_of(30), **changes)


def cell_of(fraction: float) -> float:
    """The middle of the cell that has a fraction of the picture's width or height."""
    return (int(fraction * CELLS) + 0.5) / CELLS


@pytest.mark.parametrize("k", range(3))
def test_from_the_front_heat_is_where_the_picture_has_it(cube: CubePage, k: int) -> None:
    result = result_of(30)
    assert result.heat is not None
    sure = replace(result.heat, scores=np.full(3, 0.8, np.float32))
    cube.show(replace(result, heat=sure), k)
    cube.press("Front")
    cube.hide_picture()
    hot = cube.hot()
    assert len(hot) > 100
    (left, top), (right, bottom) = cube.place(0, 0, 1), cube.place(1, 1, 1)
    x, y = (hot.mean(0) + 0.5 - (left, top)) / (right - left, bottom - top)
    assert (x, y) == pytest.approx([cell_of(part) for part in HOT_CELLS[k]], abs=0.02)


def test_heat_lies_on_the_part_of_the_picture_that_the_network_saw(cube: CubePage) -> None:
    cube.show(hot_in({0, 1, 2, 3}, cell=(1, 5), transform=Transform(0.25, 0.0, 0.75, 1.0)))
    cube.press("Front")
    cube.hide_picture()
    expected = cube.place(0.25 + 0.5 * 5.5 / CELLS, 1.5 / CELLS, 0.5)
    assert cube.hot().mean(0) == pytest.approx(expected, abs=6)


@pytest.mark.parametrize(("slices", "time"), [({0}, 0.0), ({3}, 1.0), ({1}, 1 / 3)])
def test_time_runs_from_the_back_to_the_front(cube: CubePage, slices: set[int], time: float) -> None:
    cube.show(hot_in(slices))
    cube.hide_picture()
    cube.press("Side")
    far, near = cube.place(0.5, 0.5, 0)[0], cube.place(0.5, 0.5, 1)[0]
    assert far < near
    x, y = cube.hot().mean(0)
    assert (x - far) / (near - far) == pytest.approx(time, abs=0.12)
    assert y == pytest.approx(cube.place(0.5, 0.5, 0.5)[1], abs=4)


def test_uneven_times_stay_uneven(cube: CubePage) -> None:
    result = hot_in({1}, of=3)
    assert result.heat is not None
    times = result.frame.pts_s + np.array([-1.0, -0.2, 0.0])
    cube.show(replace(result, heat=replace(result.heat, pts_s=times)))
    cube.hide_picture()
    cube.press("Side")
    x, y = cube.place(0.5, 0.5, 0.8)
    assert cube.look()[int(y), :, 1].argmax() == pytest.approx(x, abs=8)


def test_the_picture_is_on_the_front_face_alone(cube: CubePage) -> None:
    result = hot_in(set())
    green = np.zeros_like(result.frame.pixels)
    green[:, : green.shape[1] // 2] = (0, 255, 0)
    cube.show(replace(result, frame=replace(result.frame, image=green)))
    cube.page.get_by_label("Picture").fill("1")
    cube.press("Front")
    image, (x, y) = cube.look(), cube.place(0.25, 0.5, 1)
    assert image[int(y), int(x)].tolist() == pytest.approx([0, 255, 0], abs=6)
    x, y = cube.place(0.75, 0.5, 1)
    assert image[int(y), int(x)].max() < 12
    cube.press("Side")
    x, y = cube.place(0.5, 0.5, 0.5)
    assert np.ptp(cube.look()[int(y), int(x)].astype(int)) < 20


def test_it_turns_by_mouse_and_by_keys_and_comes_back(cube: CubePage) -> None:
    cube.show(hot_in({0, 1, 2, 3}, cell=(1, 1)))
    first, corner = cube.look(), cube.place(1, 0, 0)
    box = cube.page.locator("#cube canvas").bounding_box()
    assert box is not None
    cube.page.mouse.move(box["x"] + 200, box["y"] + 150)
    cube.page.mouse.down()
    cube.page.mouse.move(box["x"] + 300, box["y"] + 170, steps=3)
    cube.page.mouse.up()
    cube.settle()
    dragged = cube.look()
    assert np.mean(np.abs(dragged.astype(int) - first)) > 2
    cube.page.keyboard.press("Home")
    cube.settle()
    assert cube.place(1, 0, 0) == pytest.approx(corner, abs=0.5)
    # The focus has a ring by then, at the rim.
    assert np.mean(np.abs(cube.look().astype(int) - first)[8:-8, 8:-8]) < 1
    cube.page.keyboard.press("ArrowRight")
    cube.page.keyboard.press("ArrowUp")
    cube.page.keyboard.press("+")
    cube.settle()
    assert cube.place(1, 0, 0) != pytest.approx(corner, abs=5)
    cube.page.keyboard.press("Home")
    cube.settle()
    cube.page.mouse.wheel(0, -200)
    eventually(lambda: cube.place(1, 0, 0) != pytest.approx(corner, abs=5), "the wheel enlarges it")
    cube.page.mouse.dblclick(box["x"] + 200, box["y"] + 150)
    cube.settle()
    assert cube.place(1, 0, 0) == pytest.approx(corner, abs=0.5)


def test_a_chosen_slice_is_shown_alone_with_its_time(cube: CubePage) -> None:
    cube.show(hot_in({1}))
    cube.hide_picture()
    assert len(cube.hot()) > 50
    chooser = cube.page.get_by_label("Slice of time")
    for slice_, words in enumerate(["0.30 s ago", "0.20 s ago", "0.10 s ago", "now"]):
        chooser.fill(str(slice_))
        cube.settle()
        assert cube.page.locator("#cube output").inner_text() == words
        assert (len(cube.hot()) > 50) == (slice_ == 1)
    chooser.fill("1")
    cube.settle()
    assert cube.hot().mean(0) == pytest.approx(cube.place(3.5 / CELLS, 3.5 / CELLS, 1 / 3), abs=5)
    cube.show(hot_in({2}))
    assert chooser.input_value() == "1"
    assert len(cube.hot()) == 0
    cube.press("All")
    assert len(cube.hot()) > 50


def test_an_improbable_class_is_painted_faintly(cube: CubePage) -> None:
    result = hot_in({0, 1, 2, 3})
    assert result.heat is not None
    cube.show(result)
    cube.hide_picture()
    sure = cube.look().astype(int)
    cube.show(replace(result, heat=replace(result.heat, scores=np.array([0.02, 0.01, 0], np.float32))))
    assert len(cube.hot()) == 0
    assert np.abs(sure - cube.look()).max() > 60


def test_new_heat_is_drawn_into_the_textures_that_are_there(cube: CubePage) -> None:
    cube.ask(
        "void (() => { window.made = 0; for (const name of ['texStorage3D', 'texStorage2D', 'createTexture']) {"
        "  const of = WebGL2RenderingContext.prototype, made = of[name];"
        "  of[name] = function (...given) { window.made++; return made.apply(this, given); };"
        "}})()"
    )
    cube.show(hot_in({1}))
    made, before = cube.ask("window.made"), cube.look()
    assert made > 0
    for slice_ in (2, 3, 0):
        cube.show(hot_in({slice_}))
    assert cube.ask("window.made") == made
    assert np.abs(before.astype(int) - cube.look()).max() > 60


def test_it_draws_only_when_something_has_changed(cube: CubePage) -> None:
    cube.show(hot_in({1}))
    drawn = cube.ask("view.drawn")
    cube.ask(
        "new Promise((done) => { let n = 20; const next = () => n-- ? requestAnimationFrame(next) : done(); next(); })"
    )
    assert cube.ask("view.drawn") == drawn
    cube.ask("view.close()")
    assert cube.ask("document.getElementById('cube').childElementCount") == 0


def test_it_turns_by_itself_until_it_is_touched(browser: Browser) -> None:
    with cube_page(browser, reduced_motion="no-preference") as cube:
        cube.add("hot", *messages_of(hot_in({1})))
        cube.show_added("hot")
        corner = cube.place(1, 0, 0)
        eventually(lambda: cube.place(1, 0, 0) != pytest.approx(corner, abs=2), "it turns")
        turn = cube.page.get_by_role("button", name="Turn")
        assert turn.get_attribute("aria-pressed") == "true"
        cube.page.locator("#cube canvas").click()
        cube.settle()
        assert turn.get_attribute("aria-pressed") == "false"


def test_it_keeps_still_where_people_want_little_motion(cube: CubePage) -> None:
    cube.show(hot_in({1}))
    assert cube.ask("view.turning") is False
    turn = cube.page.get_by_role("button", name="Turn")
    assert turn.get_attribute("aria-pressed") == "false"


def test_a_lost_graphics_context_comes_back(cube: CubePage) -> None:
    cube.show(hot_in({1}))
    before = cube.look()
    cube.ask(
        "window.lose = document.querySelector('#cube canvas').getContext('webgl2').getExtension('WEBGL_lose_context');"
        "lose.loseContext()"
    )
    note = cube.page.locator("#cube .cube-note")
    note.wait_for(state="visible")
    assert "interrupted" in note.inner_text()
    cube.ask("lose.restoreContext()")
    note.wait_for(state="hidden")
    cube.settle()
    assert np.abs(cube.look().astype(int) - before).mean() < 1


def test_without_webgl2_it_says_so_and_shows_the_slices_side_by_side(browser: Browser) -> None:
    with cube_page(browser) as cube:
        cube.page.add_init_script(
            "const made = HTMLCanvasElement.prototype.getContext;"
            "HTMLCanvasElement.prototype.getContext = function (kind, options) {"
            "  return kind === 'webgl2' ? null : made.call(this, kind, options); };"
        )
        cube.page.reload()
        eventually(lambda: cube.ask("typeof refresh === 'function'"), "the page has loaded again")
        cube.show(hot_in({1}))
        assert "no WebGL2" in cube.page.locator("#cube .cube-note").inner_text()
        words = cube.page.locator("#cube li").all_inner_texts()
        assert words == ["0.30 s ago", "0.20 s ago", "0.10 s ago", "now"]
        hot = (
            "[...document.querySelectorAll('#cube li canvas')]"
            ".map((canvas) => canvas.getContext('2d').getImageData(160, 120, 1, 1).data[0])"
        )
        reds = cube.ask(hot)
        assert [red > 200 for red in reds] == [False, True, False, False]
        assert serious_faults(cube.page) == []


def test_screen_readers_are_told_where_it_is_hottest(cube: CubePage) -> None:
    cube.show(hot_in({1}, cell=(0, 6)))
    label = cube.page.locator("#cube canvas").get_attribute("aria-label")
    assert label == "Heat cube of teapot, 80 %. Hottest 0.20 s ago, at the upper right."


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser: Browser, scheme: str) -> None:
    with cube_page(browser, color_scheme=scheme) as cube:
        cube.show(hot_in({1}))
        assert serious_faults(cube.page) == []


def test_nothing_overflows_on_a_narrow_phone(browser: Browser) -> None:
    with cube_page(browser, viewport={"width": 320, "height": 640}, has_touch=True) as cube:
        result = hot_in({1})
        assert result.heat is not None
        cube.show(replace(result, heat=replace(result.heat, labels=("x" * 60, "y" * 60, "z" * 60))))
        assert cube.ask("document.documentElement.scrollWidth") <= 320
        heights = cube.ask("[...document.querySelectorAll('#cube button')].map((b) => b.offsetHeight)")
        assert min(heights) >= 36
