"""The page of a run's figures, as Prometheus reads it."""

import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition, parser
from prometheus_client.parser import text_string_to_metric_families

from streamcam.metrics import STAGES, Metrics
from streamcam.monitoring.collector import RunCollector
from tests.support.frames import FakeSource
from tests.support.paths import DOCS


def values(registry: CollectorRegistry, name: str) -> dict[tuple[str, ...], float]:
    """The values of one metric; its labels come in alphabetical order."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {tuple(s.labels.values()): s.value for family in families for s in family.samples if s.name == name}


def test_counts_are_those_of_the_run(registry: CollectorRegistry) -> None:
    assert values(registry, "streamcam_frames_total") == {("door",): 7, ("yard",): 0}
    assert values(registry, "streamcam_windows_total") == {("door",): 3, ("yard",): 0}
    assert values(registry, "streamcam_results_total") == {("door",): 1, ("yard",): 0}
    assert values(registry, "streamcam_published_messages_total") == {("result", "door"): 11}
    assert values(registry, "streamcam_subscriptions") == {(): 2}
    assert values(registry, "streamcam_spool_events") == {("mqtt",): 4}


def test_stages_that_dropped_nothing_are_at_zero(registry: CollectorRegistry) -> None:
    drops = values(registry, "streamcam_dropped_total")
    assert {stage: drops["door", stage] for stage in ("corrupt", "late", "rate", "output", "window")} == {
        "corrupt": 0,
        "late": 5,
        "rate": 0,
        "output": 0,
        "window": 1,
    }
    assert {count for (source, _), count in drops.items() if source == "yard"} == {0}


def test_drops_of_a_source_that_gives_no_frame_are_counted() -> None:
    source, registry = FakeSource([]), CollectorRegistry()
    source.drops["late"] = 9
    registry.register(RunCollector(Metrics(), [source], build={}))
    assert values(registry, "streamcam_dropped_total")["cam", "late"] == 9


def test_a_lost_camera_is_not_up_and_each_is_in_one_state(registry: CollectorRegistry) -> None:
    assert values(registry, "streamcam_source_up") == {("door",): 1, ("yard",): 0}
    states = values(registry, "streamcam_source_state")
    assert {key for key, value in states.items() if value} == {("door", "live"), ("yard", "lost")}
    assert len(states) == 10


def test_latency_is_a_histogram_in_seconds(registry: CollectorRegistry) -> None:
    buckets = values(registry, "streamcam_latency_seconds_bucket")
    infer = {bound: count for (bound, stage), count in buckets.items() if stage == "infer"}
    assert list(infer) == sorted(infer, key=float)
    assert (infer["0.0005"], infer["0.002"], infer["0.005"], infer["10.0"], infer["+Inf"]) == (1, 1, 3, 3, 4)
    assert values(registry, "streamcam_latency_seconds_sum")["infer",] == pytest.approx(60.0092)
    counts = values(registry, "streamcam_latency_seconds_count")
    assert counts == {(stage,): 4 if stage == "infer" else 0 for stage in STAGES}


def test_events_are_counted_and_open_ones_shown(registry: CollectorRegistry) -> None:
    assert values(registry, "streamcam_events_total") == {("cat", "door"): 1, ("cat", "yard"): 0}
    assert values(registry, "streamcam_event_open") == {("cat", "door"): 1, ("cat", "yard"): 0}


def test_the_page_holds_no_password(registry: CollectorRegistry) -> None:
    page = generate_latest(registry).decode()
    assert 'model="rtsp://***@camera/live"' in page
    assert "hunter2" not in page


def test_the_page_is_valid_openmetrics(registry: CollectorRegistry) -> None:
    """Its parser is strict about names, types and the order of buckets."""
    page = exposition.generate_latest(registry).decode()
    families = {family.name: family.type for family in parser.text_string_to_metric_families(page)}
    assert families["streamcam_frames"] == "counter"
    assert families["streamcam_latency_seconds"] == "histogram"
    assert families["streamcam_build"] == "info"


def test_what_is_not_connected_is_not_on_the_page() -> None:
    registry = CollectorRegistry()
    registry.register(RunCollector(Metrics(), [], build={"version": "1"}))
    page = generate_latest(registry).decode()
    for absent in ("streamcam_events", "streamcam_spool", "streamcam_subscriptions", "streamcam_published"):
        assert absent not in page


def test_the_guide_lists_every_metric_with_its_labels(registry: CollectorRegistry) -> None:
    guide = (DOCS / "guides" / "metrics.md").read_text()
    rows = {
        name: set(re.findall(r"`(\w+)`", labels)) for name, labels in re.findall(r"^\| `(\w+)` \|(.*?)\|", guide, re.M)
    }
    for metric in registry.collect():
        name = metric.name + {"counter": "_total", "info": "_info"}.get(metric.type, "")
        labels = {label for sample in metric.samples for label in sample.labels} - {"le"}
        assert labels <= rows[name], name
