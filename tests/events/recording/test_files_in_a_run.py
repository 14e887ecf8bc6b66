"""Events' files of a whole pipeline: a real source, a small network, and a rule that is always true for a while."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from streamcam.config.run import RunConfig
from streamcam.event import Event
from streamcam.events.recording.event_files import EventFiles
from streamcam.models.base import CamModel
from streamcam.records import Result
from streamcam.runtime.app import assemble, run
from streamcam.sinks.base import Sink
from tests.events.recording.test_event_files import an_event, go
from tests.support.counted import shown, write_counted


class OneEvent(Sink):
    """Tells of an event from the first heat after 4 s to the last before 5 s."""

    files: EventFiles

    def __init__(self) -> None:
        self._event: Event | None = None

    def on_window(self, result: Result) -> None:
        self.files.on_window(result)
        assert result.heat is not None
        newest_s = float(result.heat.pts_s[-1])
        if self._event is None and newest_s >= 4:
            place = {"source": result.frame.source, "session": result.frame.session, "label": result.heat.labels[0]}
            self._event = an_event(start_pts_s=newest_s, pts_s=newest_s, peak_pts_s=newest_s, **place)
            self.files.on_event(self._event)
        elif self._event is not None and self._event.reason is None and newest_s >= 5:
            self._event = replace(self._event, state="end", pts_s=newest_s, reason="over")
            self.files.on_event(self._event)


@pytest.mark.slow
@pytest.mark.parametrize("as_fast_as_possible", [False, True])
def test_a_run_keeps_what_was_before_and_after(tiny: CamModel, tmp_path: Path, as_fast_as_possible: bool) -> None:
    path = write_counted(tmp_path / "in.mp4", b_frames=2, sound="aac")
    config = RunConfig.model_validate(
        {
            "sources": [{"uri": str(path), "name": "cam"}],
            "bind": None,
            "events": {"door": {"classes": ["red"]}},
            "event_files": {"folder": tmp_path / "events", "before_s": 1.5, "after_s": 1},
            "as_fast_as_possible": as_fast_as_possible,
        }
    )
    sink, saved = OneEvent(), list[Event]()
    with ExitStack() as stack:
        live = assemble(config, stack, model=tiny, sinks=[sink])
        rings = {source.name: source.ring for source in live.sources if source.ring is not None}
        assert config.event_files is not None
        sink.files = EventFiles(config.event_files, rings, labels=tiny.spec.classes, saved=saved.append)
        stack.callback(sink.files.close)
        run(live)
    [event] = saved
    assert event.files == ("clip.mp4", "snapshot.jpg", "heat.npz", "event.json")
    assert sink.files.counts["missed"] == 0
    numbers = [n for _, n in shown(tmp_path / "events" / str(event.folder) / "clip.mp4")]
    assert go(numbers, 50, round((event.pts_s + 1) * 25) - 1)
