"""`streamcam run --web`: the page begins and ends with the run. These tests need the page's own port, 8090."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from streamcam.config.host_port import split_host_port
from streamcam.config.web import DEFAULT_BIND
from tests.support.commands import complaint
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

RUN = ["run", "sample", "--loop", "--model", "imagenet-fast", "--window", "4", "--web", "--bind"]


def page_answers() -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://{DEFAULT_BIND}/healthz", timeout=1) as answer:
        return bool(answer.read() == b"ok\n")
    return False


@contextmanager
def run_with_page(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "streamcam", *RUN, f"ipc://{tmp_path}/results"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_until(page_answers, "the page answers", timeout_s=60)
        yield process
    finally:
        process.kill()
        process.wait()


def test_the_page_ends_with_its_run(tmp_path: Path) -> None:
    with run_with_page(tmp_path) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert not page_answers()


def test_the_page_ends_with_a_run_that_is_killed(tmp_path: Path) -> None:
    with run_with_page(tmp_path) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_until(lambda: not page_answers(), "the page has ended")


def test_a_port_that_is_taken_is_said_before_anything_runs() -> None:
    with socket.create_server(split_host_port(DEFAULT_BIND)):
        said = complaint("run", "sample", "--web", "--bind", "tcp://127.0.0.1:*")
    assert f"cannot serve the page at {DEFAULT_BIND}: Address already in use; " in said


def test_a_page_needs_something_to_show() -> None:
    assert "web shows what is published" in complaint("run", "sample", "--web", "--bind", "none")
