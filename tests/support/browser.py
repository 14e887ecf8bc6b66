"""`streamcam web` in a process of its own, and a real Chromium that opens its page."""

import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.paths import ROOT
from tests.support.ports import unused_port

CHROMIUM = Path("/usr/bin/chromium")
AXE = "axe_playwright_python"
"""The package that brings axe-core: it looks for faults that keep people from using a page."""


@dataclass
class Web:
    """A running `streamcam web`."""

    url: str
    """Where its page is, with a slash at the end."""
    process: subprocess.Popen[str]

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rpartition(":")[2])


@contextmanager
def serving(endpoint: str, *options: str, port: int | None = None) -> Iterator[Web]:
    """Run `streamcam web ENDPOINT OPTIONS…` on an unused port, or on this one; stop it at the end."""
    bind = f"127.0.0.1:{unused_port() if port is None else port}"
    command = [sys.executable, "-m", "streamcam", "web", endpoint, "--bind", bind, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            said, _, _ = select.select([process.stdout], [], [], 30)
            line = process.stdout.readline() if said else ""
            assert "the page is at " in line, f"the server said {line!r}, and ended with code {process.poll()}"
            yield Web(line.split()[-1], process)
        finally:
            process.kill()


@contextmanager
def chromium(*options: str) -> Iterator[Browser]:
    """Run a headless Chromium, without a graphics card unless options say otherwise."""
    if not CHROMIUM.is_file():
        pytest.fail(f"needs a browser at {CHROMIUM}: apt-get install chromium")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", *(options or ["--disable-gpu"])]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


def serious_faults(page: Page) -> list[str]:
    """Faults of the page that axe-core calls serious or critical: the rule, and what breaks it."""
    page.evaluate(_axe())  # by the debugger's protocol: the page's own rules let no script of others in
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{fault['id']}: {fault['help']}: {[node['html'] for node in fault['nodes']]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


def _axe() -> str:
    if (spec := find_spec(AXE)) is None or spec.origin is None:
        pytest.fail(f"needs axe-core: pip install {AXE.replace('_', '-')}")
    return (Path(spec.origin).parent / "axe.min.js").read_text()
