"""Which clips form a batch, and when; with a simulated clock and device."""

import heapq
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import mean, median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcam.runtime.batching import LIVE_S, Batcher, Load


def filled(*sources: str, at_s: float = 0.0) -> Batcher[str]:
    batcher: Batcher[str] = Batcher()
    for source in sources:
        batcher.put(source, source, at_s)
    return batcher


def test_nothing_waits_nothing_closes() -> None:
    assert filled().ready_at_s(0.0, limit=4, max_wait_s=1.0) is None


def test_a_full_batch_goes_at_once_and_the_rest_keeps_its_place() -> None:
    batcher = filled("a", "b", "c")
    assert batcher.ready_at_s(0.0, limit=2, max_wait_s=9.0) == 0.0
    assert (batcher.take(2), batcher.take(2)) == (["a", "b"], ["c"])


def test_what_is_heavy_leaves_room_for_less_and_goes_alone_if_it_has_to() -> None:
    batcher = filled("a", "bbb", "c", "ddddddddd", "e")
    taken = [batcher.take(4, len) for _ in range(4)]
    assert taken == [["a", "bbb"], ["c"], ["ddddddddd"], ["e"]]


def test_a_batch_with_everybody_in_it_goes_at_once() -> None:
    batcher = filled("a", "b")
    assert batcher.ready_at_s(0.0, limit=8, max_wait_s=9.0) == 0.0


def test_otherwise_it_goes_so_long_after_its_first_clip_came() -> None:
    batcher = filled("a", "b")
    batcher.take(2)
    batcher.put("a", "a", 0.1)
    assert batcher.ready_at_s(0.11, limit=8, max_wait_s=0.05) == pytest.approx(0.15)
    batcher.put("a", "newer", 0.14)  # is no reason to wait any longer
    assert batcher.ready_at_s(0.14, limit=8, max_wait_s=0.05) == pytest.approx(0.15)


def test_a_camera_that_stops_is_not_waited_for() -> None:
    silent, gone = filled("a", "b"), filled("a", "b")
    for batcher in (silent, gone):
        batcher.take(2)
    gone.remove_source("b")
    gone.put("a", "a", 0.1)
    assert gone.ready_at_s(0.1, limit=8, max_wait_s=9.0) == 0.1
    silent.put("a", "a", 0.1)
    assert silent.ready_at_s(0.1, limit=8, max_wait_s=9.0) == pytest.approx(9.1)
    later_s = LIVE_S + 0.01
    assert silent.ready_at_s(later_s, limit=8, max_wait_s=9.0) == later_s


def test_what_a_camera_brought_before_it_left_still_goes() -> None:
    batcher = filled("a", "b")
    batcher.remove_source("a")
    assert batcher.take(8) == ["a", "b"]


def test_a_newer_clip_takes_the_olders_place_and_the_loss_is_told() -> None:
    batcher = filled("a", "b")
    assert batcher.put("a", "newer", 1.0) == "a"
    assert batcher.put("c", "c", 1.0) is None
    assert batcher.take(8) == ["newer", "b", "c"]


@dataclass
class Device:
    """Takes batches one after the other, each for a fixed time and more for each clip; a worker drives it.

    The worker's rules are those of `Worker.run`, on a clock that jumps from event to event.
    """

    fixed_s: float
    each_s: float
    in_flight: int = 1
    limit: int = 8
    max_wait_s: float = 0.005
    latencies_s: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    """Of each camera: when it began to wait, and how long after that something of it was done."""
    order: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Of each camera: when the clips came that were taken, in that order."""
    batches: list[int] = field(default_factory=list)
    lost: int = 0
    idle_waits_s: list[float] = field(default_factory=list)

    def run(self, arrivals: list[tuple[float, str]]) -> None:
        batcher: Batcher[tuple[str, float]] = Batcher()
        waiting_since_s: dict[str, float] = {}
        load, events = Load(), list(arrivals)
        heapq.heapify(events)
        under_way: list[tuple[float, float, list[tuple[str, float]]]] = []
        now_s = free_s = 0.0
        while events or under_way or not batcher.is_empty:
            while under_way and under_way[0][1] <= now_s:
                start_s, end_s, clips = under_way.pop(0)
                load.add_batch(start_s, end_s)
                for source, since_s in clips:
                    self.latencies_s[source].append((since_s, end_s - since_s))
            max_wait_s = load.wait_s(self.max_wait_s, idle=not under_way)
            ready_s = batcher.ready_at_s(now_s, limit=self.limit, max_wait_s=max_wait_s)
            if ready_s is not None and ready_s <= now_s and len(under_way) < self.in_flight:
                clips = batcher.take(self.limit)
                for source, came_s in clips:
                    self.order[source].append(came_s)
                since = [(source, waiting_since_s.pop(source)) for source, _ in clips]
                if not under_way:
                    self.idle_waits_s.append(now_s - since[0][1])
                free_s = max(free_s, now_s) + self.fixed_s + self.each_s * len(clips)
                under_way.append((now_s, free_s, since))
                self.batches.append(len(clips))
                continue
            room = len(under_way) < self.in_flight
            next_s = [events[0][0]] if events else []
            next_s += [under_way[0][1]] if under_way else []
            next_s += [ready_s] if ready_s is not None and room else []
            if not next_s:
                break
            now_s = max(now_s, min(next_s))
            while events and events[0][0] <= now_s:
                came_s, source = heapq.heappop(events)
                self.lost += batcher.put(source, (source, came_s), came_s) is not None
                waiting_since_s.setdefault(source, came_s)


def cameras(
    rng: np.random.Generator, rates: dict[str, float], seconds: float, jitter: float
) -> list[tuple[float, str]]:
    """Draw the times of clips: each camera has its rate and phase, and each clip is up to `jitter` periods off."""
    arrivals = []
    for source, rate in rates.items():
        count = int(seconds * rate)
        times_s = (np.arange(count) + rng.uniform() + rng.uniform(-jitter, jitter, count) / 2) / rate
        arrivals += [(float(t), source) for t in np.sort(times_s) if t >= 0]
    return arrivals


def run_device(
    *,
    seed: int,
    slow: int,
    faster: float,
    jitter: float,
    load: float,
    in_flight: int,
    limit: int,
    seconds: float = 10.0,
) -> Device:
    """One fast camera and some slow ones, with `load` times the work that fits in full batches."""
    rates = {"fast": 10.0 * faster} | {f"slow{i}": 10.0 for i in range(slow)}
    most_clips_s = sum(rates.values()) / load
    device = Device(fixed_s=0.5 * limit / most_clips_s, each_s=0.5 / most_clips_s, in_flight=in_flight, limit=limit)
    device.run(cameras(np.random.default_rng(seed), rates, seconds=seconds, jitter=jitter))
    assert set(device.latencies_s) == set(rates)
    return device


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    slow=st.integers(3, 24),
    faster=st.floats(1.0, 20.0),
    jitter=st.floats(0.2, 1.0),
    load=st.floats(0.05, 4.0),
    in_flight=st.integers(1, 3),
    limit=st.sampled_from([1, 4, 16, 64]),
)
def test_no_camera_waits_more_than_twice_the_median_and_each_stays_in_order(
    seed: int, slow: int, faster: float, jitter: float, load: float, in_flight: int, limit: int
) -> None:
    device = run_device(seed=seed, slow=slow, faster=faster, jitter=jitter, load=load, in_flight=in_flight, limit=limit)
    waits_s = [mean(waited_s for _, waited_s in all_) for all_ in device.latencies_s.values()]
    assert max(waits_s) <= 2 * median(waits_s)
    for came_s in device.order.values():
        assert came_s == sorted(came_s)


def test_batches_are_fuller_under_load_and_an_idle_device_is_given_clips_at_once() -> None:
    usual = {"seed": 1, "slow": 30, "faster": 1.0, "jitter": 0.3, "in_flight": 2, "limit": 16}
    idle, busy, over = (run_device(load=load, **usual) for load in (0.01, 0.6, 2.0))  # type: ignore[arg-type]
    assert mean(idle.batches) < 1.5 < mean(busy.batches) < mean(over.batches)
    assert min(over.batches[10:-10]) == 16
    assert max(idle.idle_waits_s[20:]) < 0.1 * idle.max_wait_s
    assert max(busy.idle_waits_s + over.idle_waits_s) <= 1.0001 * busy.max_wait_s
    assert idle.lost == busy.lost == 0 < over.lost


def test_with_twice_the_work_that_fits_latency_stays_where_it_is_for_a_quarter_of_an_hour() -> None:
    device = run_device(seed=2, slow=8, faster=1.5, jitter=0.5, load=2.0, in_flight=2, limit=4, seconds=900.0)
    latencies_s = sorted(sample for samples in device.latencies_s.values() for sample in samples)
    first = [waited_s for since_s, waited_s in latencies_s if since_s < 60]
    last = [waited_s for since_s, waited_s in latencies_s if since_s >= 840]
    assert np.percentile(last, 95) <= 1.1 * np.percentile(first, 95)
    computed = sum(device.batches)
    assert device.lost == pytest.approx(computed, rel=0.05)  # half of all


def test_the_device_is_known_by_what_it_took_lately() -> None:
    load = Load()
    assert load.wait_s(1.0, idle=True) == 0.0
    for i in range(100):
        load.add_batch(i * 0.1, i * 0.1 + 0.02)
    assert load.busy == pytest.approx(0.2, abs=0.01)
    assert load.batch_s == pytest.approx(0.02)
    assert load.wait_s(1.0, idle=True) == pytest.approx(0.004, abs=2e-4)
    assert load.wait_s(1.0, idle=False) == 1.0
    for i in range(100):  # two under way: the second begins when the first ends
        load.add_batch(20 + i * 0.02, 20 + i * 0.02 + 0.04)
    assert load.busy == pytest.approx(1.0, abs=0.01)
    assert load.batch_s == pytest.approx(0.02, rel=0.05)
