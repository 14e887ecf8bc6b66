"""Engines on a device whose CUDA streams are late and out of step: only events keep the work in order."""

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
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.device.streams import CpuStreams, StreamKind, _kernels_chosen_by_time
from streamcam.engines.device.transfers import TransferRing, _Slot
from streamcam.engines.stream_engine import StreamEngine
from streamcam.engines.streaming.source_state import ReadyWindows
from streamcam.engines.window_engine import WindowEngine
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
def test_neither_are_those_of_pictures_or_of_a_hop(tiny_framewise: CamModel, unpadded: CamModel, seed: int) -> None:
    for model, hop in ((tiny_framewise, None), (tiny_framewise, 3), (unpadded, 2)):
        check(engine_of("stream", model, LateStreams(seed), hop=hop), engine_of("window", model), model, seed)


def check_crowded(
    engine: WindowEngine | StreamEngine, reference: WindowEngine | StreamEngine, model: CamModel, seed: int
) -> None:
    """Hand over far more batches than there are slots before any is read."""
    given = list(batches(model, seed))
    pending = [engine.submit(clips) for clips in given]
    for flight, clips in zip(pending, given, strict=True):
        assert_same(flight.wait(), reference.infer(clips))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["window", "stream"])
def test_staging_memory_is_not_used_again_before_it_is_free(
    unpadded: CamModel, name: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = engine_of("window", unpadded)
    check_crowded(engine_of(name, unpadded, LateStreams(seed)), reference, unpadded, seed)
    engine = engine_of(name, unpadded, LateStreams(seed))
    monkeypatch.setattr(
        _Slot, "wait_until_free", lambda _slot: None
    )  # with the one wait left out, this test has to fail
    with pytest.raises((AssertionError, RuntimeError, LookupError)):
        check_crowded(engine, reference, unpadded, seed)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["window", "stream"])
def test_work_waits_for_its_events(unpadded: CamModel, name: str, seed: int) -> None:
    streams, reference = LateStreams(seed), engine_of("window", unpadded)
    engine = engine_of(name, unpadded, streams)
    streams.ordered = False  # no stream waits for another: the test notices
    with pytest.raises((AssertionError, RuntimeError, LookupError, ValueError)):
        check_crowded(engine, reference, unpadded, seed)


def test_the_host_waits_for_nothing_but_a_slot_and_a_result(unpadded: CamModel) -> None:
    streams = LateStreams(0)
    engine = engine_of("window", unpadded, streams)
    given = list(batches(unpadded, 0))
    streams.did.clear()
    pending = [engine.submit(clips) for clips in given[: engine.in_flight]]
    assert streams.did == []  # as many as are worth having under way: nobody waited
    pending.append(engine.submit(given[engine.in_flight]))
    assert streams.did.count(StreamKind.OUT) == 1  # for the slot of the first, and no further
    pending[1].wait()
    assert streams.did.count(StreamKind.OUT) == 2
    assert engine.in_flight > 1


def test_on_a_processor_everything_is_done_when_it_is_handed_in(tiny: CamModel) -> None:
    engine = engine_of("window", tiny)
    clips = next(batches(tiny, 0))
    pending = [engine.submit(clips) for _ in range(5)]
    assert all(flight.done() for flight in pending)
    assert engine.in_flight == 1
    for flight in pending:
        assert_same(flight.wait(), engine.infer(clips))
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


def test_results_cross_it_as_one_for_the_classes_that_are_shown(unpadded: CamModel) -> None:
    streams = LateStreams(0)
    engine = engine_of("window", unpadded, streams)
    streams.did.clear()
    heats = engine.infer(next(batches(unpadded, 0)))
    assert sorted(kind.name for kind in streams.did) == ["COMPUTE", "IN", "OUT"]
    assert all(heat is not None and len(heat.cube) == 2 and len(heat.logits) == 3 for heat in heats)


def test_what_work_raises_reaches_whoever_waits_for_it_and_nobody_else(unpadded: CamModel) -> None:
    engine, reference = engine_of("window", unpadded, LateStreams(1)), engine_of("window", unpadded)
    a, b, c = list(batches(unpadded, 3))[:3]
    see = engine.runner.see
    calls = iter([None, ValueError("a kernel of its own mind"), None])

    def broken(frames: Tensor) -> object:
        error = next(calls, None)
        if error is not None:
            raise error
        return see(frames)

    engine._graphs = GraphCache(CpuStreams(CPU))  # each batch is one call
    engine.runner.see = broken  # type: ignore[assignment, method-assign]
    first, second, third = engine.submit(a), engine.submit(b), engine.submit(c)
    assert_same(third.wait(), reference.infer(c))
    with pytest.raises(ValueError, match="own mind"):
        second.wait()
    assert_same(first.wait(), reference.infer(a))


def test_an_error_that_is_kept_holds_no_tensors() -> None:
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

    event = CpuStreams(CPU).put(StreamKind.COMPUTE, work)
    assert isinstance(event.error, RuntimeError)
    assert isinstance(event.error.__context__, torch.cuda.OutOfMemoryError)
    assert [ref() for ref in held] == [None, None]


def out_of_memory(engine: WindowEngine | StreamEngine, fits: Callable[[int], bool]) -> list[int]:
    """Let a device run out of memory wherever a batch does not fit; the sizes that were tried."""
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
def test_a_batch_that_does_not_fit_is_done_again_in_halves(
    unpadded: CamModel, name: str, limit: int, seed: int
) -> None:
    streams = LateStreams(seed)
    engine = engine_of(name, unpadded, streams)
    tried = out_of_memory(engine, lambda count: count <= limit)
    check(engine, engine_of("window", unpadded), unpadded, seed)
    assert max(tried) > limit
    assert engine.max_batch == limit
    assert streams.released > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stream_that_memory_fails_now_and_then_is_as_exact_as_before(unpadded: CamModel, seed: int) -> None:
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
def test_neither_does_it_fit_when_an_engine_is_made_or_frames_are_pushed(
    unpadded: CamModel, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushing = engine_of("stream", unpadded, LateStreams(0))
    assert isinstance(pushing, StreamEngine)
    monkeypatch.setattr(TorchRunner, "normalise", full)
    told = r"cpu has not enough memory for frames of unpadded: free some"
    with pytest.raises(StreamcamError, match=told):
        engine_of(name, unpadded, LateStreams(0))
    with pytest.raises(StreamcamError, match=told):
        pushing.push([make_frame(0)])


def pinned_memory(streams: LateStreams, largest: int) -> None:
    """Let the host have no memory for the device in pieces of more bytes."""
    host = streams.host

    def small(size: int) -> Tensor:
        if size > largest:
            raise RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported")
        return host(size)

    streams.host = small  # type: ignore[method-assign]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("name", "limit"), [("window", 2), ("window", 1), ("stream", 1)])
def test_a_batch_for_which_the_host_has_no_memory_is_done_again_in_halves(
    unpadded: CamModel, name: str, limit: int, seed: int
) -> None:
    streams = LateStreams(seed)
    engine = engine_of(name, unpadded, streams)
    pinned_memory(streams, limit * 6 * 3 * 16 * 16)
    check(engine, engine_of("window", unpadded), unpadded, seed)
    assert engine.max_batch == limit


@pytest.mark.parametrize(("name", "largest"), [("window", 0), ("stream", 0), ("window", 6 * 3 * 16 * 16 - 1)])
def test_a_host_without_memory_for_a_single_clip_is_one_clear_error(
    unpadded: CamModel, name: str, largest: int
) -> None:
    streams = LateStreams(0)
    engine = engine_of(name, unpadded, streams)
    pinned_memory(streams, largest)
    told = r"this machine has no memory left that cpu can copy from or to, for a single clip of unpadded: end other"
    for _ in range(4):  # whichever slot it is
        with pytest.raises(StreamcamError, match=told):
            for clips in batches(unpadded, 0):
                engine.infer(clips)


def test_neither_has_it_when_an_engine_is_made(unpadded: CamModel) -> None:
    streams = LateStreams(0)
    pinned_memory(streams, 0)
    for name in ("window", "stream"):
        with pytest.raises(StreamcamError, match=r"no memory left that cpu can .*, for frames of unpadded: end other"):
            engine_of(name, unpadded, streams)


@pytest.mark.parametrize("name", ["window", "stream"])
def test_a_lost_device_is_one_clear_error(unpadded: CamModel, name: str) -> None:
    engine = engine_of(name, unpadded, LateStreams(0))

    def lost(frames: Tensor) -> Tensor:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be late")

    engine.runner.normalise = lost  # type: ignore[method-assign]
    given = list(batches(unpadded, 0))
    pending = [engine.submit(clips) for clips in given[:3]]
    for flight in pending:
        with pytest.raises(StreamcamError, match=r"cpu has failed, .*\(CUDA error: an illegal .*\): start again"):
            flight.wait()


def test_a_setting_of_the_whole_process_is_what_it_was_after_two_captures_at_once() -> None:
    inside, before = threading.Event(), torch.backends.cudnn.benchmark

    def first() -> None:
        with _kernels_chosen_by_time():
            inside.set()
            time.sleep(0.1)

    def second() -> None:
        inside.wait()
        with _kernels_chosen_by_time():
            assert torch.backends.cudnn.benchmark
            time.sleep(0.2)  # it ends when the first has, which it began within

    with ThreadPoolExecutor() as pool:
        for future in [pool.submit(first), pool.submit(second)]:
            future.result()
    assert torch.backends.cudnn.benchmark == before


@pytest.mark.parametrize("count", range(1, 10))
def test_a_batch_is_put_into_the_next_larger_graph(count: int) -> None:
    streams, seen = LateStreams(0), []
    graphs = GraphCache(streams)

    def rows(x: Tensor, y: Tensor) -> list[Tensor]:
        seen.append(x.clone())
        return [x + y, x.sum(1)]

    full = bucket(count)
    for size in (full, count):
        x, y = torch.rand(size, 3), torch.rand(size, 3)
        total, sums = graphs.run("rows", rows, x, y)
        assert torch.equal(total, x + y)
        assert torch.equal(sums, x.sum(1))
    assert streams.captured == 1
    assert {len(x) for x in seen} == {full}
    assert float(seen[-1][count:].abs().sum()) == 0  # nothing is left of the batch before
    graphs.run("rows", rows, torch.rand(full, 2), torch.rand(full, 2))
    graphs.clear()
    graphs.run("rows", rows, x, y)
    assert streams.captured == 3


def test_a_settled_stream_is_captured_once_for_each_size_of_batch(unpadded: CamModel) -> None:
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


def full(*_arguments: object) -> Tensor:
    raise torch.cuda.OutOfMemoryError("CUDA out of memory")


def seen_for_long(model: CamModel, streams: LateStreams) -> StreamEngine:
    """An engine that has captured what one camera takes."""
    engine = engine_of("stream", model, streams)
    assert isinstance(engine, StreamEngine)
    window = SlidingWindow(model.spec.clip_format)
    for clip in filter(None, map(window.push, map(make_frame, range(10)))):
        engine.infer([clip])
    assert streams.captured > 0
    return engine


def test_graphs_are_forgotten_when_one_state_pool_grows_and_the_other_cannot(
    unpadded: CamModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = seen_for_long(unpadded, LateStreams(0))
    tracks = engine._source_states
    monkeypatch.setattr(tracks._rings.state_pool, "_grown", full)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        tracks._begin(tracks.new())
    assert engine._graphs._captured == {}


def test_a_look_at_the_end_that_fails_leaves_no_row_behind(unpadded: CamModel, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = seen_for_long(unpadded, LateStreams(0))
    tracks, track = engine._source_states, engine._sources["cam"].state
    state_pools = tracks._rings.state_pool, engine._network.state_pool  # type: ignore[attr-defined]
    before = [len(state_pool._streams) for state_pool in state_pools]
    monkeypatch.setattr(engine._network, "run", full)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        tracks._see_ended(0, track, ReadyWindows())
    assert [len(state_pool._streams) for state_pool in state_pools] == before
    assert track.stream is not None
    assert track.place is not None


def test_what_is_skipped_for_another_reason_than_memory_costs_no_graphs(
    unpadded: CamModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = LateStreams(0)
    engine, window = seen_for_long(unpadded, streams), SlidingWindow(unpadded.spec.clip_format)
    failing, skipped = [clip for i in range(12) if (clip := window.push(make_frame(i)))][-2:]
    captured = dict(engine._graphs._captured)

    def broken(*_arguments: object) -> Tensor:
        monkeypatch.undo()
        raise ValueError("a kernel of its own mind")

    monkeypatch.setattr(engine.runner, "normalise", broken)
    first, second = engine.submit([failing]), engine.submit([skipped])
    with pytest.raises(ValueError, match="own mind"):
        first.wait()
    assert_same(second.wait(), engine_of("window", unpadded).infer([skipped]))
    assert engine._graphs._captured == captured
    assert streams.released == 0


@pytest.mark.parametrize("hop", [None, 2])
def test_an_overloaded_camera_captures_nothing_new(unpadded: CamModel, hop: int | None) -> None:
    """It brings any count of new frames: only the usual one is worth a graph."""
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
    assert captured[-1] == captured[2] == (2 if hop else 1)  # of one frame, and of a hop


@pytest.mark.parametrize("hop", [2, 3])
def test_a_hop_that_was_asked_for_is_worth_graphs(unpadded: CamModel, hop: int) -> None:
    streams = LateStreams(0)
    engine, reference = engine_of("stream", unpadded, streams, hop=hop), engine_of("window", unpadded)
    window = SlidingWindow(unpadded.spec.clip_format, hop=hop)
    captured = []
    for clip in filter(None, map(window.push, map(make_frame, range(20)))):
        assert_same(engine.infer([clip]), reference.infer([clip]))
        captured.append(streams.captured)
    assert captured[1:] == [1] * (len(captured) - 1)
    assert captured[0] == 0  # the first clip of all is seen whole


def test_a_transfer_brings_back_what_was_computed_in_its_own_type_and_shape() -> None:
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
