import pytest

from streamcam.metrics import BUCKETS_MS, HOPS, MAX_VALUES, Metrics


class FakeClock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_percentiles_are_of_the_latest_values_in_bounded_memory() -> None:
    metrics = Metrics()
    for i in range(3 * MAX_VALUES):
        metrics.add_duration("infer", float(i))
    values = metrics.percentiles("infer")
    assert values["count"] == 3 * MAX_VALUES
    assert 2.4 * MAX_VALUES < values["p50"] < 2.6 * MAX_VALUES
    assert values["p50"] < values["p95"] < values["p99"]


def test_a_stage_that_never_ran_has_no_percentiles() -> None:
    assert Metrics().percentiles("infer") == {"count": 0}


def test_fps_is_of_late_and_zero_once_frames_stop() -> None:
    clock = FakeClock()
    metrics = Metrics(clock)
    for _ in range(100):
        clock.now_s += 0.04
        metrics.count_frame("cam")
    assert round(metrics.fps("cam")) == 25
    clock.now_s += 3
    assert metrics.fps("cam") == 0.0


def test_the_summary_adds_up_over_sources() -> None:
    clock = FakeClock()
    metrics = Metrics(clock)
    for source, frames in (("a", 3), ("b", 5)):
        for _ in range(frames):
            metrics.count_frame(source)
        metrics.count_drop(source, "window")
        metrics.set_drops(source, "late", frames)
    clock.now_s += 4
    summary = metrics.summary(model="m", model_hash="h", engine="window", device="cpu", precision="fp32")
    assert (summary.frames, summary.fps) == (8, 2.0)
    assert summary.drops == {"window": 2, "late": 8}
    assert summary.sources["b"]["frames"] == 5


def test_the_hop_is_told_only_where_windows_were_left_out_lately() -> None:
    metrics = Metrics()
    assert metrics.wide_hop_s("cam") is None
    metrics.count_result("cam", None, 0)
    for hop_s, skipped in ((0.1, 0), (0.3, 2)):
        metrics.count_result("cam", hop_s, skipped)
    assert metrics.wide_hop_s("cam") == pytest.approx(0.2)
    for _ in range(HOPS):
        metrics.count_result("cam", 0.1, 0)
    assert metrics.wide_hop_s("cam") is None
    assert metrics.results["cam"] == 3 + HOPS


def test_histograms_count_every_value_also_those_that_percentiles_have_forgotten() -> None:
    metrics = Metrics()
    for ms in (0.5, 0.6, 1e9):
        metrics.add_duration("infer", ms)
    for _ in range(MAX_VALUES):
        metrics.add_duration("infer", 30.0)
    histogram = metrics.histogram("infer")
    assert histogram.counts[0] == 1  # a bound belongs to its bucket
    assert histogram.counts[1] == 1
    assert histogram.counts[BUCKETS_MS.index(35)] == MAX_VALUES
    assert histogram.counts[-1] == 1
    assert histogram.total_ms == pytest.approx(1e9 + 1.1 + 30 * MAX_VALUES)
    assert metrics.percentiles("infer")["count"] == sum(histogram.counts)


def test_a_stage_that_never_ran_has_an_empty_histogram() -> None:
    histogram = Metrics().histogram("infer")
    assert (sum(histogram.counts), len(histogram.counts), histogram.total_ms) == (0, len(BUCKETS_MS) + 1, 0)
