"""A page with nothing but a heat cube, in a real Chromium that draws WebGL2 on the CPU. No server is needed."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from playwright.sync_api import Browser, Page, Route

from streamcam.records import Heat, Image, Result
from streamcam.render.canvas import FULL_SCORE, heat_paint
from streamcam.transport.messages import Stamp, encode_picture, encode_result
from streamcam.web.app import PAGE
from streamcam.web.framing import frame
from tests.support.browser import chromium
from tests.support.publish_demo import eventually

SITE = "http://cube.test"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HTML = """<!doctype html>
<html lang="en">
<meta name="color-scheme" content="light dark"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Heat cube</title>
<link rel="stylesheet" href="/page/style.css"><link rel="stylesheet" href="/page/cube.css">
<script type="module" src="/test.js"></script>
<main><h1>Heat cube</h1><section id="cube"></section></main>
"""
SCRIPT = """
import { CubeView } from "/page/cube.js";
import { Heat, RunningScale, loadPalette } from "/page/heat.js";
import { decode, picture } from "/page/message.js";
const fetched = async (path) => decode(await (await fetch(path)).arrayBuffer());
const view = new CubeView(document.getElementById("cube"), await loadPalette());
window.view = view;
window.refresh = async (name, k, options) => {
  const heat = new Heat(await fetched(`/${name}.result`)), image = await fetched(`/${name}.frame`);
  const bitmap = await picture(image);
  view.show(heat, k, { scale: new RunningScale().of(heat, k), opacity: 1, bitmap, ...options });
  bitmap.close();
};
"""
TYPES = {".css": "text/css", ".js": "text/javascript"}


@contextmanager
def webgl_chromium(*options: str) -> Iterator[Browser]:
    """Run a headless Chromium whose WebGL2 is drawn by SwiftShader."""
    with chromium("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", *options) as browser:
        yield browser


def messages_of(result: Result) -> tuple[bytes, bytes]:
    """A result and its picture, as a browser gets them."""
    stamp = Stamp("0" * 12, 0, 0)
    picture = encode_picture("frame", result, result.frame.pixels, stamp)
    return frame([b"demo", *encode_result(result, stamp)]), frame([b"demo", *picture])


@dataclass
class CubePage:
    """An open page with a cube."""

    page: Page
    files: dict[str, bytes]
    """What is served, by its path."""

    def show(self, result: Result, k: int = 0, **options: object) -> None:
        """Show the heat of class `k` of a result, and wait until it is drawn."""
        self.add("shown", *messages_of(result))
        self.show_added("shown", k, **options)
        self.settle()

    def add(self, name: str, result: bytes, picture: bytes) -> None:
        """Serve messages under a name."""
        self.files |= {f"/{name}.result": result, f"/{name}.frame": picture}

    def show_added(self, name: str, k: int = 0, **options: object) -> None:
        self.page.evaluate("([name, k, options]) => refresh(name, k, options)", [name, k, options])

    def settle(self) -> None:
        """Wait until nothing moves any more."""
        eventually(lambda: self.ask("view.isStill && view.drawn > 0"), "the cube rests", seconds=30)

    def ask(self, script: str) -> Any:
        return self.page.evaluate(script)

    def press(self, name: str) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=name).click()
        self.settle()

    def hide_picture(self) -> None:
        self.page.get_by_label("Picture").fill("0")
        self.settle()

    def place(self, x: float, y: float, time: float) -> tuple[float, float]:
        """Where a point of the picture at a time, 0–1, lies in the view, in CSS pixels."""
        at = self.page.evaluate("([x, y, time]) => view.place(x, y, time)", [x, y, time])
        return at[0], at[1]

    def look(self) -> Image:
        """The view as people see it, in CSS pixels."""
        png = self.page.locator("#cube canvas").first.screenshot()
        return np.asarray(cv2.cvtColor(cv2.imdecode(np.frombuffer(png, np.uint8), 1), cv2.COLOR_BGR2RGB))

    def hot(self) -> Any:
        """The pixels that show heat, as x and y, CSS pixels [N,2]: grounds, lines and words have no colour."""
        image = self.look().astype(int)
        y, x = np.nonzero((image.max(2) - image.min(2) > 60) & (image[:, :, 0] > image[:, :, 2]))
        return np.stack([x, y], 1)


@contextmanager
def cube_page(browser: Browser, **context: Any) -> Iterator[CubePage]:
    """Open a page with a cube that shows nothing yet; it holds no script or style of its own, as the real one."""
    colours, hidden = heat_paint()
    palette = {"colours": colours.tolist(), "hidden": hidden.tolist(), "full_score": FULL_SCORE}
    files = {"/test.js": SCRIPT.encode(), "/palette.json": json.dumps(palette).encode()}
    usual = {"viewport": {"width": 520, "height": 700}, "reduced_motion": "reduce", "color_scheme": "dark"}
    window = browser.new_context(**usual | context)
    try:
        page = window.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.route(f"{SITE}/**", _answer(files))
        page.goto(f"{SITE}/")
        eventually(lambda: page.evaluate("'view' in window && !('tagName' in view)"), f"the page has loaded {errors}")
        yield CubePage(page, files)
        assert errors == []
    finally:
        window.close()


def _answer(files: Mapping[str, bytes]) -> Callable[[Route], None]:
    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(SITE)
        if path == "/":
            route.fulfill(body=HTML, content_type="text/html", headers={"Content-Security-Policy": CSP})
        elif path.startswith("/page/"):
            file = PAGE / path.removeprefix("/page/")
            route.fulfill(body=file.read_bytes(), content_type=TYPES[file.suffix])
        elif path in files:
            kind = "text/javascript" if path.endswith(".js") else "application/octet-stream"
            route.fulfill(body=files[path], content_type=kind)
        else:
            route.fulfill(status=204)

    return answer


def heat_result(cube: np.ndarray[Any, Any], base: Result, **changes: Any) -> Result:
    """A result whose heat is this, float32 [K,L,h,w] in logit units, centred; other things are as in `base`."""
    assert base.heat is not None
    heat: Heat = replace(
        base.heat,
        cube=cube.astype(np.float32),
        common=np.zeros(cube.shape[1:], np.float32),
        pts_s=base.frame.pts_s - np.arange(cube.shape[1])[::-1] / 10,
        **changes,
    )
    return replace(base, heat=heat)
