"""The figures of a run at --metrics-bind."""

import subprocess
import sys
from contextlib import ExitStack

import pytest

from streamcam.config.load import make_config
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.runtime import monitoring
from streamcam.runtime.app import assemble, run
from streamcam.runtime.events import watched_rules
from streamcam.runtime.monitoring import require_metrics
from tests.support.http import ask
from tests.support.ports import unused_port

RULES = {
    "zones": {"gate": {"polygon": [[0, 0], [1, 0], [1, 1]], "source": "a"}},
    "events": {
        "anywhere": {"classes": ["red"]},
        "gate": {"classes": ["red"], "zone": "gate"},
        "only-b": {"classes": ["red"], "source": "b"},
    },
}
TWO = [{"uri": "sample", "name": "a"}, {"uri": "sample", "name": "b"}]


def test_the_page_says_what_the_summary_says(tiny: CamModel) -> None:
    options = {"sources": TWO, "device": "cpu", "max_frames": 30, "bind": "tcp://127.0.0.1:*", "metrics_bind": 0}
    with ExitStack() as stack:
        live = assemble(make_config({**options, **RULES}), stack, model=tiny)
        address = live.metrics_address or ""
        assert ask(address, "/healthz").text == "the run has not begun\n"
        healthy: list[str] = []

        def show(_: object) -> None:
            if not healthy:
                healthy.append(ask(address, "/healthz").text)

        summary = run(live, show=show)
        page = ask(address, "/metrics")
        assert ask(address, "/healthz").code == 503
    assert healthy == ["ok\n"]
    for name in "ab":
        of = summary.sources[name]
        counts = {noun: page.value(f"streamcam_{noun}_total", source=name) for noun in ("frames", "windows", "results")}
        assert counts == of
    drops = [(s.labels["stage"], s.value) for s in page.samples() if s.name == "streamcam_dropped_total"]
    assert sum(count for _, count in drops) == sum(summary.drops.values())
    for stage, figures in summary.latency_ms.items():
        assert page.value("streamcam_latency_seconds_count", stage=stage) == figures["count"]
    build = next(s.labels for s in page.samples() if s.name == "streamcam_build_info")
    assert (build["model"], build["device"], build["precision"]) == (summary.model, summary.device, summary.precision)
    sent = sum(page.value("streamcam_published_messages_total", source=name, kind="result") for name in "ab")
    assert sent == summary.results > 0
    assert page.value("process_resident_memory_bytes") > 1e7
    assert page.value("streamcam_events_total", source="b", rule="only-b") == 0


def test_a_rule_is_counted_in_the_sources_that_it_is_for() -> None:
    watched = watched_rules(make_config({"sources": TWO, **RULES}), ["a", "b"])
    assert watched == [("a", "anywhere"), ("b", "anywhere"), ("a", "gate"), ("b", "only-b")]


def test_without_the_package_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "find_spec", lambda _: None)
    with pytest.raises(
        StreamcamError, match=r"needs the package prometheus_client: pip install 'streamcam\[metrics\]'"
    ):
        require_metrics()


def test_the_package_is_imported_where_it_is_needed_only() -> None:
    code = "import sys, streamcam.runtime.app; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_run_without_metrics_serves_none(tiny: CamModel) -> None:
    config = make_config({"sources": ["sample"], "device": "cpu", "bind": "none"})
    with ExitStack() as stack:
        assert assemble(config, stack, model=tiny).metrics_address is None


def test_a_failed_start_frees_the_port(tiny: CamModel) -> None:
    port = unused_port()
    options = {"sources": ["sample"], "device": "cpu", "bind": "none", "metrics_bind": port}
    for _ in range(2):
        with ExitStack() as stack:
            assemble(make_config(options), stack, model=tiny)
            with (
                pytest.raises(StreamcamError, match=f"127.0.0.1:{port}: Address already in use"),
                ExitStack() as second,
            ):
                assemble(make_config(options), second, model=tiny)
