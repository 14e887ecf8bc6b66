"""A signal finds its thread as it was: no library has put an alternate signal stack there, or a handler of its own.

Python's handlers run on the alternate stack, where there is one (SA_ONSTACK). If that memory is gone by then, any
signal kills the process.
"""

import ctypes
import gc
import json
import signal
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import av
import numpy as np
import pytest

from streamcam.engines.backends import make_engine
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.sinks.unfinished import has_pictures
from streamcam.train.quantize import quantize
from tests.support.commands import Running, running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="needs the extra openvino")
needs_nncf = pytest.mark.skipif(
    find_spec("openvino") is None or find_spec("nncf") is None, reason="needs the extra openvino"
)


class _Stack(ctypes.Structure):
    """stack_t of sigaltstack(2)."""

    _fields_ = (("begin", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def signals() -> tuple[object, ...]:
    """This thread's alternate signal stack, what it blocks, and what the process handles or ignores."""
    stack = _Stack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0
    status = Path("/proc/thread-self/status").read_text().splitlines()
    masks = [line for line in status if line.startswith(("SigBlk", "SigIgn", "SigCgt"))]
    return stack.begin, stack.flags, stack.size, *masks


def engines(model: CamModel, framewise: CamModel) -> list[object]:
    return [
        make_engine(model, name="window", backend="openvino", precision="fp32"),
        make_engine(model, name="stream", backend="openvino", precision="fp32"),
        make_engine(framewise, backend="openvino", precision="fp32"),
    ]


def on_another_thread(act: Callable[[], object]) -> None:
    thread = Thread(target=act)
    thread.start()
    thread.join()


@needs_openvino
def test_engines_that_end_in_any_order_leave_the_thread_as_it_was(tiny: CamModel, tiny_framewise: CamModel) -> None:
    before = signals()
    for order in ((0, 1, 2), (1, 2, 0)):  # not the reverse of their making, which is harmless
        made: list[object] = engines(tiny, tiny_framewise)
        assert signals() == before
        for i in order:
            made[i] = None
            gc.collect()
            assert signals() == before


@needs_openvino
def test_engines_that_begin_or_end_on_another_thread_leave_both_as_they_were(
    tiny: CamModel, tiny_framewise: CamModel
) -> None:
    before, there = signals(), []
    made: list[object] = []

    def begin() -> None:
        there.append(signals())
        made.extend(engines(tiny, tiny_framewise))
        there.append(signals())

    on_another_thread(begin)
    assert there[0] == there[1]
    assert signals() == before
    made.clear()
    gc.collect()
    assert signals() == before
    made.extend(engines(tiny, tiny_framewise))
    on_another_thread(made.clear)
    gc.collect()
    assert signals() == before


@needs_nncf
def test_quantizing_leaves_the_thread_as_it_was(tiny: CamModel) -> None:
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 255, (4, 3, 16, 16), dtype=np.uint8) for _ in range(2)]
    before = signals()
    tiny.int8 = quantize(tiny, clips, show=lambda *_: None)
    assert signals() == before
    made = [make_engine(tiny, backend="openvino", precision="int8") for _ in range(2)]
    assert signals() == before
    made.reverse()
    while made:
        made.pop()
        gc.collect()
        assert signals() == before


@needs_nncf
def test_what_fails_while_it_quantizes_is_raised_where_it_was_asked_for(tiny: CamModel) -> None:
    def fail(_done: float, _total: float | None) -> None:
        raise StreamcamError("the disk is gone")

    before = signals()
    clip = np.zeros((4, 3, 16, 16), np.uint8)
    with pytest.raises(StreamcamError, match="the disk is gone"):
        quantize(tiny, [clip], show=fail)
    assert signals() == before


def wait_for(command: Running, condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 90
    while not condition():
        assert command.is_alive(), command.err.read_text()
        assert time.monotonic() < end_s
        time.sleep(0.02)


OPENVINO = (
    pytest.param("openvino", "window", marks=needs_openvino),
    pytest.param("openvino", "stream", marks=needs_openvino),
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
@pytest.mark.parametrize(("backend", "engine"), [("torch", "window"), ("torch", "stream"), *OPENVINO])
def test_a_signal_ends_a_run_with_its_recording_complete(
    tmp_path: Path, backend: str, engine: str, number: signal.Signals
) -> None:
    """On every backend; of OpenVINO, `motion` as a stream is compiled another way than its windows."""
    out, part = tmp_path / "o.mp4", tmp_path / "o.part.mp4"
    options = [
        "--model",
        "motion",
        "--backend",
        backend,
        "--device",
        "cpu",
        "--engine",
        engine,
        "--precision",
        "fp32",
        "--bind",
        "none",
    ]
    outputs: list[str | Path] = ["--record", out, "--summary-json", tmp_path / "s.json"]
    with running("run", "lavfi:testsrc2=size=160x120:rate=15", *options, *outputs) as command:
        wait_for(command, lambda: part.exists() and has_pictures(part))
        command.signal(number)
        done = command.ended()
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o.mp4", "s.json"]
    with av.open(str(out)) as container:
        pictures, counted = sum(1 for _ in container.decode(video=0)), container.streams.video[0].frames
    summary = json.loads((tmp_path / "s.json").read_text())
    given = summary["frames"] - summary["drops"].get("output", 0)
    assert pictures == counted
    assert given - 4 <= pictures <= given  # up to four wait for the output thread when it ends


WAITS = """
import pathlib, time
import streamcam.train.quantize
streamcam.train.quantize._normalise = lambda *_: (pathlib.Path("learning").touch(), time.sleep(60))
"""


@needs_nncf
def test_ctrl_c_ends_quantizing_at_once(tmp_path: Path) -> None:
    options = ["--model", "motion", "--clips", "1", "-o", "o.safetensors"]
    with running("quantize", "sample", *options, cwd=tmp_path, first=WAITS) as command:
        wait_for(command, (tmp_path / "learning").exists)
        command.signal(signal.SIGINT)
        done = command.ended(20)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["learning"]
