"""The figures of a run that never was."""

from collections import Counter

from streamcam.metrics import Metrics
from streamcam.monitoring.collector import RunCollector
from streamcam.sources.status import SourceStatus
from tests.support.frames import FakeSource

URL = "rtsp://admin:hunter2@camera/live"


class Tally:
    """A cat is at the door."""

    def __init__(self) -> None:
        self.counts, self.going = Counter({("door", "cat"): 1}), {("door", "cat")}


def two_cameras(metrics: Metrics) -> RunCollector:
    """A run of the cameras door and yard, of which yard is lost, with all that can be connected."""
    door, yard = FakeSource([], name="door"), FakeSource([], name="yard")
    yard.status = SourceStatus("lost", f"cannot open {URL}")
    return RunCollector(
        metrics,
        [door, yard],
        build={"version": "1.2", "model": URL, "device": "cpu", "precision": "fp32"},
        sent=lambda: {("door", "result"): 11},
        subscriptions=lambda: 2,
        events=Tally(),
        watched=[("door", "cat"), ("yard", "cat")],
        spools=lambda: {"mqtt": 4},
    )
