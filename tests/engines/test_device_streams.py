"""Engines on a device whose queues are late and out of step, so that only events order their work."""

import random
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor

from streamcam.clips import SlidingWindow
from streamcam.engines.device.cuda_graphs import GraphCache, bucket
from streamcam.engines.device.cuda_streams import _cudnn_benchmark
from streamcam.engines.device.engine import DeviceEngine
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.device.streams import CpuStreams, StreamKind
from streamcam.engines.device.transfers import TransferRing, _Slot
from streamcam.engines.stream_engine import StreamEngine
from streamcam.engines.streaming.source_state import ReadyWindows
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.records import Clip
from tests.support.crowd import CPU, assert_same, batches, check, engine_of, unpadded_model
from tests.support.frames import make_frame
from tests.support.late_streams import LateStreams

SEEDS = range(8)


@pytest.fixture
def unpadded() -> CamModel:
    return unpadded_model()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["window", "stream"])
def test_results_are_never_mixed_however_late_the_device_is(unpadded: CamModel, name: str, seed: int) -> None:
    check(engine_of(name, unpadded, LateStreams(seed)), engine_of("window", unpadded), unpadded, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_results_of_framewise_networks_and_of_a_hop_are_never_mixed(
    tiny_framewise: CamModel, unpadded: CamModel, seed: int
) -> None:
    for model, hop in ((tiny_framewise, None), (tiny_framewise, 3), (unpadded, 2)):
        check(engine_of("stream", model, LateStreams(seed), hop=hop), engine_of("window", model), model, seed)


def check_crowded(engine: DeviceEngine, reference: DeviceEngine, model: CamModel, seed: int) -> None:
    """Submit far more batches than there are slots before any is read."""
    all_clips = list(batches(model, seed))
    pending = [engine.submit(clips) for clips in all_clips]
    for batch, clips in zip(pending, all_clips, strict=True):
        assert_same(batch.wait(), reference.infer(clips))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["window", "stream"])
def test_a_slots_buffers_are_not_used_again_before_it_is_free(
    unpadded: CamModel, name: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = engine_of("window", unpadded)
    check_crowded(engine_of(name, unpadded, LateStreams(seed)), reference, unpadded, seed)
    engine = engine_of(name, unpadded, LateStreams(seed))
    # Without this one wait, the test has to fail.
    monkeypatch.setattr(_Slot, "receive_last", lambda _slot: None)
    with pytest.raises((AssertionError, RuntimeError, LookupError, ValueError)):
        check_crowded(engine, reference, unpadded, seed)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["window", "stream"])
def test_work_waits_for_its_events(unpadded: CamModel, name: str, seed: int) -> None:
    streams, reference = LateStreams(seed), engine_of("window", unpadded)
    engine = engine_of(name, unpadded, streams)
    streams.ordered = False  # as if no queue waited for another, so the test has to fail
    with pytest.raises((AssertionError, RuntimeError, LookupError, ValueError)):
        check_crowded(engine, reference, unpadded, seed)


def test_the_host_waits_for_nothing_but_a_slot_and_a_result(unpadded: CamModel) -> None:
    streams = LateStreams(0)
    engine = engine_of("window", unpadded, streams)
    all_clips = list(batches(unpadded, 0))
    streams.turns.clear()
    pending = [engine.submit(clips) for clips in all_clips[: engine.in_flight]]
    assert streams.turns == []  # each has a slot of its own, so the host has not waited
    pending.append(engine.submit(all_clips[engine.in_flight]))
    assert streams.turns.count(StreamKind.COPY_OUT) == 1  # the host has waited for the first slot only
    pending[1].wait()
    assert streams.turns.count(StreamKind.COPY_OUT) == 2
    assert engine.in_flight > 1


def test_on_a_cpu_a_batch_is_done_when_it_is_submitted(tiny: CamModel) -> None:
    engine = engine_of("window", tiny)
    clips = next(batches(tiny, 0))
    pending = [engine.submit(clips) for _ in range(5)]
    assert all(batch.done() for batch in pending)
    assert engine.in_flight == 1
    for batch in pending:
        assert_same(batch.wait(), engine.infer(clips))
    assert list(engine.submit([]).wait()) == []


def test_frames_cross_the_bus_once_and_as_bytes(unpadded: CamModel) -> None:
    window = SlidingWindow(unpadded.spec.clip_format, head_start=True)
    clips = [clip for i in range(12) if (clip := window.push(make_frame(i))) is not None]
    streams = LateStreams(0)
    engine = engine_of("stream", unpadded, streams)
    before = streams.uploaded
    for clip in clips:
        engine.infer([clip])
    assert streams.uploaded - before == 12 * 3 * 16 * 16


def test_results_of_the_chosen_classes_cross_the_bus_as_one_copy(unpadded: CamModel) -> None:
    streams = LateStreams(0)
    engine = engine_of("window", unpadded, streams)
    streams.turns.clear()
    heats = engine.infer(next(batches(unpadded, 0)))
    assert sorted(kind.name for kind in streams.turns) == ["COMPUTE", "COPY_IN", "COPY_OUT"]
    assert all(heat is not None and len(heat.cube) == 2 and len(heat.logits) == 3 for heat in heats)


def test_an_error_reaches_whoever_waits_for_its_batch_and_nobody_else(unpadded: CamModel) -> None:
    engine, reference = engine_of("window", unpadded, LateStreams(1)), engine_of("window", unpadded)
    a, b, c = list(batches(unpadded, 3))[:3]
    see = engine.runner.forward
    calls = iter([None, ValueError("a broken kernel"), None])

    def broken(frames: Tensor) -> object:
        error = next(calls, None)
        if error is not None:
            raise error
        return see(frames)

    engine._graphs = GraphCache(CpuStreams(CPU))  # each batch is one call
    engine.runner.forward = broken  # type: ignore[assignment, method-assign]
    first, second, third = engine.submit(a), engine.submit(b), engine.submit(c)
    assert_same(third.wait(), reference.infer(c))
    with pytest.raises(ValueError, match="broken kernel"):
        second.wait()
    assert_same(first.wait(), reference.infer(a))


def test_the_error_of_an_event_refers_to_no_tensors() -> None:
    held: list[weakref.ref[Tensor]] = []

    def inner() -> None:
        large = torch.zeros(8)
        held.append(weakref.ref(large))
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    def work() -> None:
        another = torch.zeros(8)
        held.append(weakref.ref(another))
        try:
            inner()
        finally:
            raise RuntimeError("capture failed")  # as the end of a capture does

    event = CpuStreams(CPU).enqueue(StreamKind.COMPUTE, work)
    assert isinstance(event.error, RuntimeError)
    assert isinstance(event.error.__context__, torch.cuda.OutOfMemoryError)
    assert [ref() for ref in held] == [None, None]


def out_of_memory(engine: DeviceEngine, fits: Callable[[int], bool]) -> list[int]:
    """Let a device run out of memory where `fits` is false for a batch's size; return the list of sizes tried."""
    normalise, tried = engine.runner.normalise, []

    def small(frames: Tensor) -> Tensor:
        tried.append(len(frames))
        if not fits(len(frames)):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return normalise(frames)

    engine.runner.normalise = small  # type: ignore[method-assign]
    return tried


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("name", "limit"), [("window", 2), ("window", 1), ("stream", 1)])
def test_a_batch_that_does_not_fit_is_computed_again_in_halves(
    unpadded: CamModel, name: str, limit: int, seed: int
) -> None:
    streams = LateStreams(seed)
    engine = engine_of(name, unpadded, streams)
    tried = out_of_memory(engine, lambda count: count <= limit)
    check(engine, engine_of("window", unpadded), unpadded, seed)
    assert max(tried) > limit
    assert engine.max_batch == limit
    assert streams.cache_emptied > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stream_is_exact_although_memory_runs_out_now_and_then(unpadded: CamModel, seed: int) -> None:
    engine, chance = engine_of("stream", unpadded, LateStreams(seed)), random.Random(seed)
    out_of_memory(engine, lambda count: count == 1 or chance.random() < 0.8)
    check(engine, engine_of("window", unpadded), unpadded, seed)


@pytest.mark.parametrize("name", ["window", "stream"])
def test_a_clip_that_does_not_fit_alone_is_one_clear_error(unpadded: CamModel, name: str) -> None:
    engine = engine_of(name, unpadded, LateStreams(0))
    out_of_memory(engine, lambda _count: False)
    with pytest.raises(StreamcamError, match=r"cpu has not enough memory for a single clip of unpadded: free some"):
        engine.infer(next(batches(unpadded, 0)))


@pytest.mark.parametrize("name", ["window", "stream"])
def test_too_little_memory_for_a_new_engine_or_a_push_is_one_clear_error(
    unpadded: CamModel, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushing = engine_of("stream", unpadded, LateStreams(0))
    assert isinstance(pushing, StreamEngine)
    monkeypatch.setattr(TorchRunner, "normalise", run_out_of_memory)
    message = r"cpu has not enough memory for frames of unpadded: free some"
    with pytest.raises(StreamcamError, match=message):
        engine_of(name, unpadded, LateStreams(0))
    with pytest.raises(StreamcamError, match=message):
        pushing.push([make_frame(0)])


def limit_host_buffers(streams: LateStreams, largest: int) -> None:
    """Let the host have no buffers of more than so many bytes."""
    host_buffer = streams.host_buffer

    def small(size: int) -> Tensor:
        if size > largest:
            raise RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported")
        return host_buffer(size)

    streams.host_buffer = small  # type: ignore[method-assign]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("name", "limit"), [("window", 2), ("window", 1), ("stream", 1)])
def test_a_batch_for_which_the_host_has_no_memory_is_computed_again_in_halves(
    unpadded: CamModel, name: str, limit: int, seed: int
) -> None:
    streams = LateStreams(seed)
    engine = engine_of(name, unpadded, streams)
    limit_host_buffers(streams, limit * 6 * 3 * 16 * 16)
    check(engine, engine_of("window", unpadded), unpadded, seed)
    assert engine.max_batch == limit


@pytest.mark.parametrize(("name", "largest"), [("window", 0), ("stream", 0), ("window", 6 * 3 * 16 * 16 - 1)])
def test_a_host_without_memory_for_a_single_clip_is_one_clear_error(
    unpadded: CamModel, name: str, largest: int
) -> None:
    streams = LateStreams(0)
    engine = engine_of(name, unpadded, streams)
    limit_host_buffers(streams, largest)
    message = r"this machine has no memory left that cpu can copy from or to, for a single clip of unpadded: end other"
    for _ in range(4):  # whichever slot it is
        with pytest.raises(StreamcamError, match=message):
            for clips in batches(unpadded, 0):
                engine.infer(clips)


def test_a_host_without_memory_for_a_new_engine_is_one_clear_error(unpadded: CamModel) -> None:
    streams = LateStreams(0)
    limit_host_buffers(streams, 0)
    for name in ("window", "stream"):
        with pytest.raises(StreamcamError, match=r"no memory left that cpu can .*, for frames of unpadded: end other"):
            engine_of(name, unpadded, streams)


@pytest.mark.parametrize("name", ["window", "stream"])
def test_a_lost_device_is_one_clear_error(unpadded: CamModel, name: str) -> None:
    engine = engine_of(name, unpadded, LateStreams(0))

    def lost(frames: Tensor) -> Tensor:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be late")

    engine.runner.normalise = lost  # type: ignore[method-assign]
    all_clips = list(batches(unpadded, 0))
    pending = [engine.submit(clips) for clips in all_clips[:3]]
    for batch in pending:
        with pytest.raises(StreamcamError, match=r"cpu has failed, .*\(CUDA error: an illegal .*\): start again"):
            batch.wait()


def test_two_captures_at_once_restore_the_setting_of_cudnn() -> None:
    inside, before = threading.Event(), torch.backends.cudnn.benchmark

    def first() -> None:
        with _cudnn_benchmark():
            inside.set()
            time.sleep(0.1)

    def second() -> None:
        inside.wait()
        with _cudnn_benchmark():
            assert torch.backends.cudnn.benchmark
            time.sleep(0.2)  # this ends after the first

    with ThreadPoolExecutor() as pool:
        for future in [pool.submit(first), pool.submit(second)]:
            future.result()
    assert torch.backends.cudnn.benchmark == before


@pytest.mark.parametrize("count", range(1, 10))
def test_a_batch_is_put_into_the_next_larger_graph(count: int) -> None:
    streams, inputs = LateStreams(0), []
    graphs = GraphCache(streams)

    def rows(x: Tensor, y: Tensor) -> list[Tensor]:
        inputs.append(x.clone())
        return [x + y, x.sum(1)]

    full = bucket(count)
    for size in (full, count):
        x, y = torch.rand(size, 3), torch.rand(size, 3)
        total, sums = graphs.run("rows", rows, x, y)
        assert torch.equal(total, x + y)
        assert torch.equal(sums, x.sum(1))
    assert streams.captured == 1
    assert {len(x) for x in inputs} == {full}
    assert float(inputs[-1][count:].abs().sum()) == 0  # zeros, not the batch before
    graphs.run("rows", rows, torch.rand(full, 2), torch.rand(full, 2))
    graphs.clear()
    graphs.run("rows", rows, x, y)
    assert streams.captured == 3


def test_a_warmed_up_stream_is_captured_once_for_each_size_of_batch(unpadded: CamModel) -> None:
    streams = LateStreams(0)
    engine = engine_of("stream", unpadded, streams)
    windows = {f"camera {i}": SlidingWindow(unpadded.spec.clip_format) for i in range(3)}

    def clips(i: int) -> list[Clip]:
        pushed = [window.push(make_frame(i, source=name)) for name, window in windows.items()]
        return [clip for clip in pushed if clip is not None]

    for i in range(8):
        engine.infer(clips(i)) if i >= 5 else clips(i)
    before = streams.captured
    for i in range(8, 20):
        engine.infer(clips(i))
    assert streams.captured == before > 0


def run_out_of_memory(*_arguments: object) -> Tensor:
    raise torch.cuda.OutOfMemoryError("CUDA out of memory")


def warmed_up(model: CamModel, streams: LateStreams) -> StreamEngine:
    """Make an engine that has captured the graphs for one camera."""
    engine = engine_of("stream", model, streams)
    assert isinstance(engine, StreamEngine)
    window = SlidingWindow(model.spec.clip_format)
    for clip in filter(None, map(window.push, map(make_frame, range(10)))):
        engine.infer([clip])
    assert streams.captured > 0
    return engine


def test_graphs_are_cleared_when_one_pool_grows_and_the_other_cannot(
    unpadded: CamModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = warmed_up(unpadded, LateStreams(0))
    (sources,) = engine._pools.values()
    monkeypatch.setattr(sources._rings.state_pool, "_grown", run_out_of_memory)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        sources._start(sources.new())
    assert engine._graphs._captured == {}


def test_a_window_as_if_ended_that_fails_leaves_no_row_behind(
    unpadded: CamModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = warmed_up(unpadded, LateStreams(0))
    (sources,), state = engine._pools.values(), engine._sources["cam"].state
    state_pools = sources._rings.state_pool, engine._network.state_pool  # type: ignore[attr-defined]
    before = [len(state_pool._streams) for state_pool in state_pools]
    monkeypatch.setattr(engine._network, "run", run_out_of_memory)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        sources._add_as_if_ended(0, state, ReadyWindows())
    assert [len(state_pool._streams) for state_pool in state_pools] == before
    assert state.network_state is not None
    assert state.ring_state is not None


def test_a_batch_skipped_for_another_reason_than_memory_costs_no_graphs(
    unpadded: CamModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = LateStreams(0)
    engine, window = warmed_up(unpadded, streams), SlidingWindow(unpadded.spec.clip_format)
    failing, skipped = [clip for i in range(12) if (clip := window.push(make_frame(i)))][-2:]
    captured = dict(engine._graphs._captured)

    def broken(*_arguments: object) -> Tensor:
        monkeypatch.undo()
        raise ValueError("a broken kernel")

    monkeypatch.setattr(engine.runner, "normalise", broken)
    first, second = engine.submit([failing]), engine.submit([skipped])
    with pytest.raises(ValueError, match="broken kernel"):
        first.wait()
    assert_same(second.wait(), engine_of("window", unpadded).infer([skipped]))
    assert engine._graphs._captured == captured
    assert streams.cache_emptied == 0


@pytest.mark.parametrize("hop", [None, 2])
def test_an_overloaded_camera_captures_nothing_new(unpadded: CamModel, hop: int | None) -> None:
    """It brings any number of new frames, and only the usual ones are worth a graph."""
    streams = LateStreams(0)
    engine, reference = engine_of("stream", unpadded, streams, hop=hop), engine_of("window", unpadded)
    window, i = SlidingWindow(unpadded.spec.clip_format), 0
    captured = []
    for count in (8, *(1, 2) * 3, 3, 4, 5, 6, 1):
        clip = [window.push(make_frame(j)) for j in range(i, i + count)][-1]
        assert clip is not None
        assert_same(engine.infer([clip]), reference.infer([clip]))
        i += count
        captured.append(streams.captured)
    assert captured[-1] == captured[2] == (2 if hop else 1)  # for one frame, and for a hop


@pytest.mark.parametrize("hop", [2, 3])
def test_pushes_of_a_hop_are_captured(unpadded: CamModel, hop: int) -> None:
    streams = LateStreams(0)
    engine, reference = engine_of("stream", unpadded, streams, hop=hop), engine_of("window", unpadded)
    window = SlidingWindow(unpadded.spec.clip_format, hop=hop)
    captured = []
    for clip in filter(None, map(window.push, map(make_frame, range(20)))):
        assert_same(engine.infer([clip]), reference.infer([clip]))
        captured.append(streams.captured)
    assert captured[1:] == [1] * (len(captured) - 1)
    assert captured[0] == 0  # all frames of the first clip are new, and that count is not captured


def test_results_come_back_in_the_type_and_shape_in_which_they_were_computed() -> None:
    transfers, rng = TransferRing(LateStreams(0)), np.random.default_rng(0)
    pieces = [rng.integers(0, 255, (n, 3), dtype=np.uint8) for n in (2, 1, 4)]

    def compute(flat: Tensor) -> list[Tensor]:
        rows = flat.view(7, 3)
        return [rows.float().mean(1), rows.argmax(1), rows.float().T, rows.float()[:0]]

    means, largest, columns, nothing = transfers.send(pieces, compute).wait()
    rows = np.concatenate(pieces)
    np.testing.assert_allclose(means, rows.mean(1), rtol=1e-6)
    assert largest.tolist() == torch.from_numpy(rows).argmax(1).tolist()
    assert largest.dtype == np.int64
    assert columns.tolist() == rows.T.tolist()
    assert nothing.shape == (0, 3)
