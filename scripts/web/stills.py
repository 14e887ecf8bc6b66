"""Takes the pictures of the page that the documentation shows: python -m scripts.web.stills [FOLDER]

The sample is watched by `imagenet-fast`, in a real Chromium. The pictures are docs/page-camera.webp, page-cube.webp and
page-phone.webp, unless another folder is given.
"""

import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path
from signal import SIGKILL
from tempfile import TemporaryDirectory

import av
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize

from scripts.parent import with_parent
from scripts.paths import ROOT
from streamcam.cli.demo import SAMPLE_WINDOW
from tests.support.browser import chromium, serving
from tests.support.ports import unused_port

WIDE, PHONE = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)
WATCH_S = 30.0
"""How long the camera is watched before its picture is taken: curves have something to show then."""
STEADY_S = 1.2
DOG = "document.querySelector('.camera-picture canvas')?.ariaLabel?.includes('dog')"


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
    endpoint = f"tcp://127.0.0.1:{unused_port()}"
    with TemporaryDirectory() as temporary:
        video = Path(temporary, "garden.mp4")
        repeat_sample(video, times=20)
        options = ["--model", "imagenet-fast", "--window", str(SAMPLE_WINDOW), "--bind", endpoint]
        command = [sys.executable, "-m", "streamcam", "run", str(video), *options]
        watching = subprocess.Popen(with_parent(command, SIGKILL), stderr=subprocess.DEVNULL)
        try:
            with serving(endpoint) as web, chromium() as browser:
                take(browser, web.url, folder)
        finally:
            watching.kill()


def repeat_sample(path: Path, *, times: int) -> None:
    """Write the sample's own packets one time after the other, as one video. Its last minute has no break then."""
    with av.open(str(ROOT / "streamcam/data/sample.mp4")) as source, av.open(str(path), "w") as container:
        stream = source.streams.video[0]
        copy = container.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.pts is not None]
        length = sum(packet.duration or 0 for packet in packets)
        shifts = [(packet.pts or 0, packet.dts or 0) for packet in packets]
        for turn in range(times):
            for packet, (pts, dts) in zip(packets, shifts, strict=True):
                packet.pts, packet.dts, packet.stream = pts + turn * length, dts + turn * length, copy
                container.mux(packet)


def take(browser: Browser, url: str, folder: Path) -> None:
    """Take all pictures of the camera, once a dog is seen."""
    page = browser.new_page(viewport=WIDE, color_scheme="light")
    page.goto(f"{url}#/camera/garden")
    time.sleep(WATCH_S)
    wait_for_dog(page)
    page.keyboard.press("Space")
    save(page, folder / "page-camera.webp")
    page.locator(".cube-panel").scroll_into_view_if_needed()
    time.sleep(8)  # software draws the volume a few times a second
    save(page, folder / "page-cube.webp", part=".cube-panel")
    page.close()
    phone = browser.new_page(viewport=PHONE, device_scale_factor=2, color_scheme="dark")
    phone.goto(f"{url}#/camera/garden")
    wait_for_dog(phone)
    save(phone, folder / "page-phone.webp")


def wait_for_dog(page: Page) -> None:
    """Wait until a dog has been seen for a while: its heat is that of its own scene then."""
    since_s, end_s = time.monotonic(), time.monotonic() + 60
    while time.monotonic() < since_s + STEADY_S:
        if not page.evaluate(DOG):
            since_s = time.monotonic()
        if since_s > end_s:
            raise RuntimeError("no dog was seen for a minute")
        time.sleep(0.1)


def save(page: Page, path: Path, *, part: str | None = None) -> None:
    """Take a picture of the page, or of a part of it."""
    png = page.screenshot() if part is None else page.locator(part).screenshot()
    Image.open(BytesIO(png)).convert("RGB").save(path, quality=80, method=6)
    print(path)


if __name__ == "__main__":
    main()
