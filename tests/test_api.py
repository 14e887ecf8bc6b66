"""From Python, as the README shows it."""

import logging
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import streamcam
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.records import Result
from tests.support.cameras import rtsp_server
from tests.support.frames import TINY_FORMAT
from tests.support.publish_demo import eventually


def test_stream_gives_every_window_of_a_file(tiny: CamModel) -> None:
    results = list(streamcam.stream("sample", model=tiny, as_fast_as_possible=True, max_frames=60))
    assert len(results) == 26 - (TINY_FORMAT.length - 1)  # 60 frames of 23 a second, at 10 a second
    for result in results:
        assert result.heat is not None
        assert result.heat.cube.shape == (3, 4, 8, 8)
        assert result.frame.pixels.shape == (360, 640, 3)
        assert result.drops == {}


def test_a_loop_that_is_left_early_ends_all_threads(tiny: CamModel) -> None:
    before = threading.active_count()
    for result in streamcam.stream("sample", model=tiny, loop=True):
        assert result.heat is not None
        break
    assert threading.active_count() == before


def test_live_a_slow_loop_gets_the_newest_and_is_told_what_it_missed(tiny: CamModel) -> None:
    indices, drops = [], {}
    for result in streamcam.stream("sample", model=tiny, max_frames=90, device="cpu"):
        time.sleep(0.3)
        indices.append(result.frame.index)
        drops = dict(result.drops)
    assert indices == sorted(set(indices))
    assert len(indices) < 15
    assert drops["consumer"] > 3


def test_errors_reach_the_loop(tmp_path: Path, tiny: CamModel) -> None:
    with pytest.raises(StreamcamError, match="no such file"):
        next(streamcam.stream("no-such-file.mp4", model=tiny))
    with pytest.raises(StreamcamError, match="unknown key 'hopp'"):
        next(streamcam.stream("sample", model=tiny, hopp=3))
    torch.nn.init.constant_(tiny.head.classifier.weight, float("nan"))
    with pytest.raises(StreamcamError, match="not finite"):
        list(streamcam.stream("sample", model=tiny, as_fast_as_possible=True))


def test_two_sources_with_one_name_are_told_apart(tiny: CamModel) -> None:
    options: dict[str, Any] = {"model": tiny, "as_fast_as_possible": True, "max_frames": 15}
    assert {r.frame.source for r in streamcam.stream("sample", "sample", **options)} == {"sample", "sample-2"}


def test_explain_and_stream_agree(tiny: CamModel) -> None:
    result = next(
        iter(streamcam.stream("sample", model=tiny, as_fast_as_possible=True, precision="fp32", device="cpu"))
    )
    first = list(
        streamcam.stream("sample", model=tiny, as_fast_as_possible=True, max_frames=10, window=1, device="cpu")
    )
    frames = np.stack([r.frame.pixels for r in first[:4]])
    expected = tiny.explain(frames)
    assert result.heat is not None
    assert result.heat.logits == pytest.approx(expected.logits, abs=1e-4)


def test_two_devices_share_the_sources_and_answer_as_one_does(tiny: CamModel) -> None:
    options: dict[str, Any] = {"model": tiny, "as_fast_as_possible": True, "max_frames": 30, "precision": "fp32"}
    heats: dict[str, dict[tuple[str, int], bytes]] = {}
    for device in ("cpu", "cpu,cpu"):
        results = streamcam.stream("sample", "sample", "sample", device=device, **options)
        heats[device] = {(r.frame.source, r.frame.index): r.heat.cube.tobytes() for r in results if r.heat}
    assert len(heats["cpu"]) == 3 * 10
    assert heats["cpu"] == heats["cpu,cpu"]


def test_each_device_of_several_is_looked_for_before_anything_else(tiny: CamModel) -> None:
    with pytest.raises(StreamcamError, match=r"no such device: cuda:77"):
        next(streamcam.stream("no-such-file.mp4", model=tiny, device="cpu,cuda:77"))


def test_a_dead_camera_is_seen_by_its_status_and_logged_once(
    free_port: int, tiny: CamModel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="streamcam")
    url = f"rtsp://warden:sesame@127.0.0.1:{free_port}/live?token=abc123"
    with streamcam.stream(url, {"uri": "sample", "name": "clip"}, model=tiny, loop=True) as results:
        assert set(results.status) == {"127.0.0.1", "clip"}
        eventually(lambda: results.status["127.0.0.1"].kind == "lost", "the camera is lost")
        assert "nobody listens there" in (results.status["127.0.0.1"].reason or "")
        assert next(results).frame.source == "clip"
        time.sleep(1.5)  # it is tried again, two times or three
        told = [r for r in caplog.records if r.getMessage().startswith("127.0.0.1 lost: cannot open rtsp://***@")]
        assert [(r.levelname, r.name) for r in told] == [("WARNING", "streamcam.sources.status")]
        with rtsp_server(free_port):
            eventually(lambda: "127.0.0.1 live" in caplog.messages, "it is told that the camera is back", seconds=20)
            assert results.status["127.0.0.1"].kind == "live"
            assert any(r.frame.source == "127.0.0.1" for r in results)
        eventually(lambda: len([r for r in caplog.records if r.levelno == logging.WARNING]) > 1, "it is lost again")
    assert "clip live" in caplog.messages
    assert not any(secret in caplog.text for secret in ("warden", "sesame", "abc123"))


def test_the_end_of_a_source_is_its_status_too(tiny: CamModel, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="streamcam")
    results = streamcam.stream("sample", model=tiny, as_fast_as_possible=True)
    assert len(list(results)) == 78  # 8.04 s at 10 a second, in windows of four
    assert results.status["sample"].kind == "ended"
    assert list(results) == []
    assert [r.getMessage() for r in caplog.records if r.name == "streamcam.sources.status"][-1] == "sample ended"


def test_a_stream_that_nobody_reads_lets_go_of_everything(tiny: CamModel) -> None:
    before = threading.active_count()
    results = streamcam.stream("sample", model=tiny, loop=True)
    assert threading.active_count() > before
    results.close()
    results.close()
    assert threading.active_count() == before
    assert list(results) == []
    streamcam.stream("sample", model=tiny, loop=True)  # dropped
    assert threading.active_count() == before


def test_a_loop_is_ended_from_another_thread(free_port: int, tiny: CamModel) -> None:
    before, taken = threading.active_count(), list[Result]()
    results = streamcam.stream(f"rtsp://127.0.0.1:{free_port}/live", model=tiny)
    loop = threading.Thread(target=lambda: taken.extend(results))
    loop.start()
    eventually(lambda: results.status["127.0.0.1"].kind == "lost", "the camera is lost")
    results.close()
    loop.join(10)
    assert not loop.is_alive()
    assert taken == []
    assert threading.active_count() == before
