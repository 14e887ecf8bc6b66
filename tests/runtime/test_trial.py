"""Rules on recorded footage: what they would have done, and the same as in a run."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from streamcam.config.load import make_config
from streamcam.config.run import RunConfig
from streamcam.errors import StreamcamError
from streamcam.event import Event
from streamcam.events.chart import draw_chart
from streamcam.runtime.app import assemble, run
from streamcam.runtime.events import EventHooks
from streamcam.runtime.trial import try_rules

ZONES = {"left": {"polygon": [(0, 0), (0.5, 0), (0.5, 1), (0, 1)], "source": "door"}}
RULES = {
    "sways": {"classes": ["camera moving"], "for_s": 0.2},
    "in-left": {"classes": ["camera moving", "moving right"], "zone": "left", "on": 0.3},
    "elsewhere": {"classes": ["waving"], "source": "yard"},
}


def config(**changes: Any) -> RunConfig:
    sources = [{"uri": "rtsp://camera/live", "name": "door"}, {"uri": "rtsp://other/live", "name": "yard"}]
    return make_config({"sources": sources, "zones": ZONES, "events": RULES, **changes})


@pytest.mark.slow
def test_a_trial_gives_the_events_of_a_run() -> None:
    trial = try_rules(config(), "sample", source="door")
    assert set(trial.rules) == {"sways", "in-left"}
    assert len(trial.scores["sways"]) == len(trial.scores["in-left"]) > 30
    assert trial.events

    ends: list[Event] = []
    hooks = EventHooks(tell=lambda event: ends.append(event) if event.state == "end" else None)
    live = config(
        sources=[{"uri": "sample", "name": "door"}, {"uri": "sample", "name": "yard"}], as_fast_as_possible=True
    )
    with ExitStack() as stack:
        run(assemble(live.model_copy(update={"bind": None}), stack, hooks=hooks))
    there = sorted((e.rule, e.start_pts_s, e.pts_s, e.peak) for e in ends if e.source == "door")
    # Of a run's source, it is the end of the run that ends its last events.
    assert there == sorted((e.rule, e.start_pts_s, e.pts_s, e.peak) for e in trial.events)


@pytest.mark.slow
def test_the_chart_shows_every_rule() -> None:
    trial = try_rules(config(events={"sways": RULES["sways"]}, zones={}), "sample", source="yard")
    png = draw_chart(trial.rules, trial.scores, trial.events, "sample")
    assert png.startswith(b"\x89PNG")
    assert len(png) > 10_000


@pytest.mark.parametrize(
    ("changes", "source", "message"),
    [
        ({"events": {}, "zones": {}}, None, "there is no rule for events"),
        ({}, None, "which of the sources is it. Give --source, one of door, yard"),
        ({}, "cellar", "no such source: 'cellar' .sources: door, yard"),
        ({"events": {"elsewhere": RULES["elsewhere"]}}, "door", "no rule is for the source 'door'"),
        ({"sources": ["sample"]}, None, "no source has the name 'door'"),
    ],
)
def test_what_cannot_be_tried_is_one_line(changes: dict[str, Any], source: str | None, message: str) -> None:
    with pytest.raises(StreamcamError, match=message):
        try_rules(config(**changes), "sample", source=source)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StreamcamError, match=r"nothing\.mp4"):
        try_rules(config(), str(tmp_path / "nothing.mp4"), source="door")
