"""Streams, graphs and memory of a real GPU."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from streamcam.engines.device.cuda_streams import CudaStreams
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.device.streams import Function
from streamcam.engines.stream_engine import StreamEngine
from streamcam.engines.window_engine import WindowEngine
from streamcam.models.base import CamModel
from streamcam.models.registry import load_model
from streamcam.records import Clip
from tests.support.crowd import assert_same, batches, check, engine_of, unpadded_model

pytestmark = pytest.mark.needs_cuda
NAMES = ("window", "stream")


@pytest.fixture
def exact() -> Iterator[None]:
    """Switch TF32 off, which rounds products to 10 bits."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.fixture
def unpadded(exact: None) -> CamModel:
    return unpadded_model()


def on_gpu(name: str, model: CamModel, **options: Any) -> WindowEngine | StreamEngine:
    return engine_of(name, model, device=torch.device("cuda:0"), **options)


@contextmanager
def no_host_waits() -> Iterator[None]:
    """Raise an error if the host waits for the device in any way but for an event."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_gives_the_heat_that_a_cpu_gives(unpadded: CamModel, name: str, seed: int) -> None:
    check(on_gpu(name, unpadded), engine_of("window", unpadded), unpadded, seed)


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_gives_the_heat_that_its_kernels_give_one_by_one(unpadded: CamModel, name: str) -> None:
    all_clips = list(batches(unpadded, 0))
    captured, eager = on_gpu(name, unpadded), on_gpu(name, unpadded)
    eager.runner.streams.captures = False
    for clips in all_clips:
        assert_same(captured.infer(clips), eager.infer(clips))


@pytest.mark.parametrize("name", NAMES)
def test_submitting_does_not_make_the_host_wait(unpadded: CamModel, name: str) -> None:
    engine = on_gpu(name, unpadded)
    capture = engine.runner.streams.capture

    def waiting(function: Function, inputs: Sequence[Tensor]) -> Callable[[], Sequence[Tensor]]:
        torch.cuda.set_sync_debug_mode("default")  # a capture waits, once
        replay = capture(function, inputs)
        torch.cuda.set_sync_debug_mode("error")
        return replay

    engine.runner.streams.capture = waiting  # type: ignore[method-assign]
    for clips in batches(unpadded, 0, count=30):
        with no_host_waits():
            pending = engine.submit(clips)
        pending.wait()


@pytest.mark.parametrize("name", NAMES)
def test_no_more_memory_is_used_after_a_while(unpadded: CamModel, name: str) -> None:
    engine, all_clips = on_gpu(name, unpadded), list(batches(unpadded, 1, count=60))
    used = []
    for clips in all_clips * 5:
        engine.infer(clips)
        used.append(torch.cuda.memory_allocated())
    assert max(used[-60:]) <= max(used[60:120])


def test_a_batch_that_does_not_fit_is_computed_again_in_halves(exact: None) -> None:
    model = load_model("r3d_18", weights="none")
    runner = TorchRunner(model, torch.device("cuda:0"), "fp32")
    engine = WindowEngine(runner, top_k=2)
    clip_format = model.spec.clip_format
    rng = np.random.default_rng(0)
    (like,) = next(batches(unpadded_model(), 0))[:1]
    clips = [
        Clip(
            rng.integers(0, 255, (clip_format.length, 3, *clip_format.crop), dtype=np.uint8),
            np.arange(clip_format.length) / clip_format.fps,
            clip_format.length - 1,
            like.last,
            like.transform,
        )
        for _ in range(32)
    ]
    expected = [engine.infer([clip])[0] for clip in clips]
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 1.0e9) / total)
    try:
        got = engine.infer(clips)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert engine.max_batch < 32
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-3)


def test_two_engines_on_two_threads_do_not_disturb_each_other(unpadded: CamModel) -> None:
    """Also not while one of them captures its graphs."""
    errors: list[BaseException] = []

    def work(name: str, seed: int) -> None:
        try:
            check(on_gpu(name, unpadded), engine_of("window", unpadded), unpadded, seed)
        except BaseException as e:
            errors.append(e)

    threads = [Thread(target=work, args=(name, seed)) for seed, name in enumerate(NAMES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_what_cannot_be_captured_is_computed_without_a_graph(unpadded: CamModel) -> None:
    engine, reference = on_gpu("window", unpadded), engine_of("window", unpadded)
    engine._graphs.clear()
    normalise = engine.runner.normalise
    engine.runner.normalise = lambda frames: (float(frames.sum()), normalise(frames))[1]  # type: ignore[method-assign]
    all_clips = list(batches(unpadded, 0))[:4]
    with pytest.warns(RuntimeWarning, match="no CUDA graph"):  # a number that the host reads cannot be part of one
        heats = [engine.infer(clips) for clips in all_clips]
    for got, clips in zip(heats, all_clips, strict=True):
        assert_same(got, reference.infer(clips))


def test_copies_and_computing_have_cuda_streams_of_their_own() -> None:
    streams = CudaStreams(torch.device("cuda:0"))
    handles = {stream.cuda_stream for stream in streams._cuda_streams.values()}
    assert len(handles) == 3
    assert torch.cuda.default_stream().cuda_stream not in handles
    assert streams.host_buffer(8).is_pinned()


LOST = """
import torch
from tests.support.crowd import batches, engine_of, unpadded_model
engine = engine_of("window", unpadded_model(), device=torch.device("cuda:0"))
normalise = engine.runner.normalise
beyond = torch.tensor([5], device="cuda:0")
engine._graphs.clear()
engine.runner.normalise = lambda x: normalise(x) + torch.zeros(1, device="cuda:0")[beyond]
try:
    engine.infer(next(batches(unpadded_model(), 0)))
except Exception as e:
    print(type(e).__name__, e)
"""


def test_a_lost_device_is_one_clear_error(pytestconfig: pytest.Config) -> None:
    here = pytestconfig.rootpath
    done = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, cwd=here, check=False)
    assert "LostError cuda:0 has failed, and computes nothing more for this process (CUDA error" in done.stdout
