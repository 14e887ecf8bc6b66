"""Runs the example for browsers in a headless Chromium, with files from a small HTTP server on this machine."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from playwright.sync_api import sync_playwright

from scripts.examples.frames import Answers, Prepared, parse_answers
from scripts.examples.unavailable import UnavailableError

PAGE = Path(__file__).parent / "clip_top.html"
CHROMIUM = Path("/usr/bin/chromium")
PACKAGE = "onnxruntime-web@1.30.0"
TIMEOUT_S = 300


class _Handler(SimpleHTTPRequestHandler):
    """Serves a folder, quietly, with the types that modules and WebAssembly need."""

    extensions_map = {  # noqa: RUF012
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def run_page(graph: Path, prepared: Prepared, folder: Path) -> Answers:
    """Lay the page, the graph and onnxruntime-web into a folder, and open the page.

    Raises:
        UnavailableError: there is no npm or no Chromium, or npm cannot get the package.
    """
    if not CHROMIUM.exists():
        raise UnavailableError(f"{CHROMIUM} is not installed")
    _install(folder)
    shutil.copy(PAGE, folder / PAGE.name)
    shutil.copy(graph, folder / "graph.onnx")
    (folder / "card.json").write_text(prepared.card.model_dump_json())
    prepared.frames.tofile(folder / "frames.raw")
    height, width = prepared.frames.shape[2:]
    with _serving(folder) as url:
        return parse_answers(_printed(f"{url}{PAGE.name}?size={height}x{width}"))


def _install(folder: Path) -> None:
    """Install onnxruntime-web from npm, without running its scripts."""
    if shutil.which("npm") is None:
        raise UnavailableError("npm is not installed")
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder), PACKAGE]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if ran.returncode != 0:
        raise UnavailableError(f"npm cannot install {PACKAGE}")
    (folder / "node_modules" / "onnxruntime-web" / "dist").rename(folder / "onnxruntime-web")


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """Serve a folder on an unused port; yield its address, with a slash at the end."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def _printed(url: str) -> str:
    """Open the page, and return what it wrote once it is done."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            page = browser.new_page()
            faults: list[str] = []
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.goto(url)
            # A fault ends the wait, too.
            page.evaluate("addEventListener('unhandledrejection', () => { document.title = 'failed'; })")
            page.wait_for_function("['done', 'failed'].includes(document.title)", timeout=TIMEOUT_S * 1000)
            if faults:
                raise RuntimeError(f"{PAGE.name}: {faults[0]}")
            return page.inner_text("#lines")
        finally:
            browser.close()
