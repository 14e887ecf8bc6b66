import pytest
from prometheus_client import CollectorRegistry

from streamcam.metrics import Metrics
from tests.support.figures import two_cameras


@pytest.fixture
def registry() -> CollectorRegistry:
    """The figures of a run of two cameras, of which one is lost."""
    metrics = Metrics()
    for _ in range(7):
        metrics.count_frame("door")
    metrics.windows["door"] = 3
    metrics.count_result("door", None, 0)
    metrics.count_drop("door", "window")
    metrics.set_drops("door", "late", 5)
    for ms in (0.2, 4.0, 5.0, 60_000.0):
        metrics.add_duration("infer", ms)
    registry = CollectorRegistry()
    registry.register(two_cameras(metrics))
    return registry
