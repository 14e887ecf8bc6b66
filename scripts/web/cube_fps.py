"""Measures how often the heat cube is drawn a second while it is turned, for the sizes of cubes that models give.

    python -m scripts.web.cube_fps [--seconds 4] [--width 480]

Chromium draws with SwiftShader, on the CPU alone: a graphics card is faster. The page starts finely, and draws coarser
where that is too slow: so each cube has two figures, and the coarseness at the end, of 0 (the finest) to 3.
"""

import argparse

import numpy as np

from tests.support.cube_page import CubePage, cube_page, heat_result, messages_of, webgl_chromium
from tests.support.publish_demo import result_of

SIZES = ((16, 14, 14), (3, 9, 16), (16, 28, 36), (16, 6, 11))
"""Slices, height and width: as in the specification; of an image model; of `motion`; of `imagenet-fast`."""
TURN = """async (milliseconds) => {
  const canvas = document.querySelector("#cube canvas"), end = performance.now() + milliseconds;
  const before = view.drawn, start = performance.now();
  canvas.focus();
  while (performance.now() < end) {
    canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    await new Promise(requestAnimationFrame);
  }
  return 1000 * (view.drawn - before) / (performance.now() - start);
}"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--width", type=int, default=480, help="of the view, in CSS pixels; its height is ¾ of it")
    options = parser.parse_args()
    with webgl_chromium() as browser:
        for size in SIZES:
            viewport = {"width": options.width + 24, "height": 800}
            with cube_page(browser, viewport=viewport) as cube:
                measure(cube, size, options.seconds)


def measure(cube: CubePage, size: tuple[int, int, int], seconds: float) -> None:
    """Print a line for a cube of random heat: nothing is empty, so that it takes the longest."""
    heat = np.random.default_rng(0).normal(4, 2, (3, *size))
    cube.add("random", *messages_of(heat_result(heat, result_of(30))))
    cube.show_added("random")
    cube.settle()
    first = cube.page.evaluate(TURN, 1000 * seconds)
    settled = cube.page.evaluate(TURN, 1000 * seconds)
    coarseness = cube.ask("view.coarseness")
    print(f"{'x'.join(map(str, size)):>9}: {first:5.1f} fps at first, {settled:5.1f} fps at coarseness {coarseness}")


if __name__ == "__main__":
    main()
