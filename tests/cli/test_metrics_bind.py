"""`streamcam run --metrics-bind`, as a process."""

import json
import signal
import socket
from pathlib import Path

import pytest

from tests.support.commands import complaint, running
from tests.support.http import Page, ask
from tests.support.publish_demo import eventually

RUN = ("run", "sample", "--loop", "--model", "imagenet-fast", "--bind", "none")


def page_of(address: str, path: str) -> Page | None:
    try:
        return ask(address, path)
    except OSError:
        return None


@pytest.mark.slow
def test_a_run_tells_its_figures_until_it_ends(free_port: int, tmp_path: Path) -> None:
    address, summary_file = f"127.0.0.1:{free_port}", tmp_path / "summary.json"
    with running(*RUN, "--metrics-bind", str(free_port), "--summary-json", str(summary_file)) as command:

        def results() -> bool:
            page = page_of(address, "/metrics")
            return page is not None and page.value("streamcam_results_total", source="sample") >= 3

        eventually(results, "there are results", seconds=60)
        assert ask(address, "/healthz").text == "ok\n"
        page = ask(address, "/metrics")
        command.signal(signal.SIGTERM)
        done = command.ended()
    assert done.returncode == 0, done.stderr
    assert f"metrics: http://{address}/metrics" in done.stderr
    assert "Traceback" not in done.stderr
    assert page_of(address, "/healthz") is None
    assert page.value("streamcam_source_up", source="sample") == 1
    summary = json.loads(summary_file.read_text())
    for noun in ("frames", "windows", "results"):  # it ran on for a moment
        counted = page.value(f"streamcam_{noun}_total", source="sample")
        assert summary[noun] / 2 <= counted <= summary[noun]
    assert page.value("streamcam_latency_seconds_count", stage="infer") <= summary["latency_ms"]["infer"]["count"]


def test_a_port_in_use_is_one_line_and_code_2(free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)):
        line = complaint(*RUN, "--metrics-bind", f":{free_port}")
    assert f"cannot serve metrics at 127.0.0.1:{free_port}: Address already in use" in line


def test_what_is_no_address_is_one_line_and_code_2() -> None:
    assert "metrics_bind: expected HOST:PORT" in complaint(*RUN, "--metrics-bind", "everywhere")


@pytest.mark.slow
def test_a_camera_that_is_away_leaves_the_process_healthy(free_port: int) -> None:
    url = "http://user:hunter2@127.0.0.1:9/nothing"
    with running("run", url, *RUN[3:], "--metrics-bind", str(free_port)) as command:
        address = f"127.0.0.1:{free_port}"
        eventually(lambda: page_of(address, "/metrics") is not None or not command.is_alive(), "it serves", seconds=60)

        def lost() -> bool:
            page = ask(address, "/metrics")
            return page.value("streamcam_source_state", source="127.0.0.1", state="lost") == 1

        eventually(lost, "the camera is lost")
        page = ask(address, "/metrics")
        assert page.value("streamcam_source_up", source="127.0.0.1") == 0
        assert (ask(address, "/healthz").code, ask(address, "/healthz").text) == (200, "ok\n")
        assert "hunter2" not in page.text
        assert "http://" not in page.text
