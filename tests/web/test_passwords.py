"""The password of a camera, from the file of a run to the page."""

import json
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from websockets.sync.client import ClientConnection

from streamcam.web.framing import unframe
from tests.support.page_server import page_server
from tests.support.paths import ROOT
from tests.support.ports import unused_port
from tests.support.publish_demo import eventually

pytestmark = pytest.mark.slow

USER, PASSWORD = "warden-of-the-door", "sesame-of-the-door"
KINDS = ["status", "result", "frame", "overlay", "event"]
WATCH_S = 1.5
"""A status comes every second."""


def test_the_login_of_a_lost_camera_reaches_neither_the_page_nor_the_api(tmp_path: Path, page: Page) -> None:
    config, endpoint = tmp_path / "run.yaml", f"tcp://127.0.0.1:{unused_port()}"
    lost = f"{{name: door, uri: 'rtsp://{USER}:{PASSWORD}@127.0.0.1:{unused_port()}/x'}}"
    live = "{name: test, uri: 'lavfi:testsrc2=size=320x240:rate=15'}"
    config.write_text(f"sources: [{lost}, {live}]\n")
    command = [sys.executable, "-m", "streamcam", "run", "--config", str(config), "--bind", endpoint]
    said = tmp_path / "said.txt"
    with said.open("w") as log, subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT) as run:
        try:
            with page_server(endpoint=endpoint) as web:

                def states() -> dict[str, str]:
                    cameras = json.loads(web.ask("/api/cameras").body)["cameras"]
                    return {camera["id"]: camera["state"] for camera in cameras}

                eventually(lambda: states() == {"door": "lost", "test": "live"}, "one is lost", seconds=60)
                told = [web.ask(path).body for path in ("/api/cameras", "/cameras/door.jpg", "/api/results/door")]
                told += messages(web.browse())
                page.goto(f"{web.url}#/")
                expect(page.locator(".trouble", has_text="nobody listens there")).to_be_visible()
                told.append(page.content().encode())
                page.goto(f"{web.url}#/camera/door")
                expect(page.locator(".camera-head")).to_contain_text("lost: cannot open")
                told.append(page.content().encode())
            told.append("".join(web.errors).encode())
        finally:
            run.kill()
    told.append(said.read_bytes())
    assert any(b"rtsp://***@127.0.0.1" in text for text in told)
    assert [text for text in told if re.search(rf"{USER}|{PASSWORD}".encode(), text)] == []


def messages(browser: ClientConnection) -> list[bytes]:
    """All that a browser is sent that wants everything."""
    told: list[bytes] = []
    with browser:
        browser.send(json.dumps({"want": {"door": KINDS, "test": KINDS}}))
        ends_s = time.monotonic() + WATCH_S
        while (left_s := ends_s - time.monotonic()) > 0:
            with suppress(TimeoutError):
                message = browser.recv(timeout=left_s)
                told += [message.encode()] if isinstance(message, str) else unframe(message)
    assert any(b'"state":"lost"' in text for text in told)
    return told
