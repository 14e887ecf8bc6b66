"""The figures of a run that never was."""

from streamcam.metrics import Metrics
from streamcam.monitoring.collector import RunCollector
from streamcam.monitoring.event_counts import EventCounts
from streamcam.sources.status import SourceStatus
from tests.support.events import event
from tests.support.frames import FakeSource

URL = "rtsp://admin:hunter2@camera/live"


def two_cameras(metrics: Metrics) -> RunCollector:
    """A run of the cameras door and yard, of which yard is lost, with all that can be connected."""
    door, yard = FakeSource([], name="door"), FakeSource([], name="yard")
    yard.status = SourceStatus("lost", f"cannot open {URL}")
    events = EventCounts([("door", "cat"), ("yard", "cat")])
    events.note(event(state="start"))
    return RunCollector(
        metrics,
        [door, yard],
        build={"version": "1.2", "model": URL, "device": "cpu", "precision": "fp32"},
        sent=lambda: {("door", "result"): 11},
        subscriptions=lambda: 2,
        events=events,
        spools=lambda: {"mqtt": 4},
    )
