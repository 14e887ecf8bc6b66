"""configs/grafana.json asks for what there is: of the page, and of a real Prometheus where one is installed."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.process_collector import ProcessCollector

from streamcam.metrics import STAGES, Metrics
from streamcam.monitoring.server import MetricsServer
from tests.support.figures import two_cameras
from tests.support.http import ask
from tests.support.paths import CONFIGS
from tests.support.ports import unused_port
from tests.support.publish_demo import eventually

DASHBOARD = json.loads((CONFIGS / "grafana.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]


class Busy(CollectorRegistry):
    """The figures of a run in which something happens between two looks."""

    def __init__(self) -> None:
        super().__init__()
        self.looks, self._metrics = 0, Metrics()
        self.register(two_cameras(self._metrics))
        ProcessCollector(registry=self)

    def collect(self) -> Iterator[Metric]:
        self.looks += 1
        self._metrics.count_frame("door")
        self._metrics.count_result("door", None, 0)
        self._metrics.count_drop("door", "window")
        for stage in STAGES:
            self._metrics.add_duration(stage, 20.0)
        yield from super().collect()


@contextmanager
def prometheus(scraped: str, folder: Path) -> Iterator[str]:
    """A Prometheus that looks at an address all the time; gives its own."""
    address = f"127.0.0.1:{unused_port()}"
    config = folder / "prometheus.yml"
    jobs = [{"job_name": "streamcam", "static_configs": [{"targets": [scraped]}]}]
    config.write_text(json.dumps({"global": {"scrape_interval": "200ms"}, "scrape_configs": jobs}))
    options = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}"]
    process = subprocess.Popen(["prometheus", *options], stderr=subprocess.DEVNULL)
    try:
        yield address
    finally:
        process.kill()
        process.wait()


def query(address: str, expression: str) -> list[Any]:
    expression = expression.replace("$__rate_interval", "10s").replace("$source", ".*")
    page = ask(address, f"/api/v1/query?{urlencode({'query': expression})}")
    assert page.code == 200, (expression, page.text)
    result: list[Any] = json.loads(page.text)["data"]["result"]
    return result


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if shutil.which("prometheus") is None:
        pytest.skip("needs Prometheus: apt install prometheus")
    registry = Busy()
    with MetricsServer("127.0.0.1", 0) as server:
        server.start(registry, lambda: None)
        with prometheus(server.address, tmp_path_factory.mktemp("prometheus")) as address:
            eventually(lambda: registry.looks >= 5, "it has looked", seconds=60)
            yield address


@pytest.mark.parametrize("expression", QUERIES)
def test_each_metric_of_the_dashboard_is_on_the_page(expression: str) -> None:
    there = {sample.name for metric in Busy().collect() for sample in metric.samples}
    named = set(re.findall(r"\b(?:streamcam|process)_\w+", expression))
    assert named
    assert named <= there


@pytest.mark.slow
@pytest.mark.parametrize("expression", QUERIES)
def test_each_query_of_the_dashboard_has_an_answer(asked: str, expression: str) -> None:
    eventually(lambda: query(asked, expression), f"{expression} has an answer")


@pytest.mark.slow
def test_queries_answer_what_their_panels_say(asked: str) -> None:
    shown = {panel["title"]: panel["targets"][0]["expr"] for panel in PANELS}

    def value(title: str) -> float:
        eventually(lambda: query(asked, shown[title]), f"{title} has an answer")
        (answer,) = query(asked, shown[title])
        return float(answer["value"][1])

    assert (value("Cameras up"), value("Cameras away"), value("Events now")) == (1, 1, 1)
    assert 0.010 <= value("Latency, p95") <= 0.020  # within the bucket of what was counted
    states = {answer["metric"]["source"]: answer["value"][1] for answer in query(asked, shown["State"])}
    assert states == {"door": "2", "yard": "4"}  # live, lost


@pytest.mark.slow
def test_the_source_variable_has_the_cameras(asked: str) -> None:
    page = ask(asked, f"/api/v1/label/source/values?{urlencode({'match[]': 'streamcam_source_up'})}")
    assert json.loads(page.text)["data"] == ["door", "yard"]


def test_every_panel_asks_the_chosen_data_source() -> None:
    for panel in PANELS:
        for asking in (panel, *panel["targets"]):
            assert asking["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "source"]


def test_panels_lie_side_by_side_within_the_page() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for a, b in combinations(places, 2):
        apart_x = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        apart_y = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart_x or apart_y
    for key in ("id", "title"):
        assert len({panel[key] for panel in DASHBOARD["panels"]}) == len(places)
