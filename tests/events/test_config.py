"""What people write about zones and rules: the right rule, or one line."""

from datetime import time
from pathlib import Path

import pytest

from streamcam.config.load import make_config
from streamcam.config.run import RunConfig
from streamcam.errors import StreamcamError

RULE = "events: {e: {classes: [moving left]}}"


def load(folder: Path, *lines: str) -> RunConfig:
    file = folder / "run.yaml"
    file.write_text("\n".join(["sources: [{uri: sample, name: yard}]", *lines]))
    return make_config({}, file=file)


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "zones:",
        "  gate: {polygon: [[0.1, 0.2], [0.6, 0.2], [0.6, 0.9]], source: yard}",
        "events:",
        "  wrong-way: {classes: [moving left], zone: gate, on: 0.6, off: 0.4, for_s: 0.6, cooldown_s: 10,",
        "              quiet: {still: 0.5}}",
        "  fall: {classes: fall, on: 0.8}",
        "event_files: {folder: events}",
    )
    rule = config.events["wrong-way"]
    assert (rule.on, rule.off_at, rule.for_s, rule.quiet) == (0.6, 0.4, 0.6, {"still": 0.5})
    assert config.events["fall"].classes == ["fall"]
    assert config.zones["gate"].polygon[0] == (0.1, 0.2)
    assert config.event_files is not None
    assert config.event_files.before_s == 5


@pytest.mark.parametrize(("written", "read"), [("22:00", time(22)), ("6:30", time(6, 30)), ("24:00", time(0))])
def test_hours_need_no_quotes(tmp_path: Path, written: str, read: time) -> None:
    config = load(tmp_path, f"events: {{e: {{classes: [x], schedule: {{from: {written}}}}}}}")
    assert config.events["e"].schedule is not None
    assert config.events["e"].schedule.begin == read


def test_on_and_off_are_words_and_true_is_a_switch(tmp_path: Path) -> None:
    config = load(tmp_path, "loop: on", "events: {e: {classes: [off, no], on: 0.5, off: 0.2}}")
    assert config.loop is True
    assert config.events["e"].classes == ["off", "no"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("zones: {g: {polygon: [[0.1, 0.2], [0.6, 0.2]]}}", "zones.g.polygon: List should have at least 3 items"),
        ("zones: {g: {polygon: [[0, 0], [1.2, 1], [1, 0]]}}", "the corner .1.2, 1. is outside of the picture"),
        ("zones: {g: {polygon: [[0, 0], [.nan, 1], [1, 0]]}}", "outside of the picture"),
        ("zones: {g: {polygon: [[0, 0], [1, 1], [1, 0], [0, 1]]}}", "edges from corner 1 and from corner 3 cross"),
        ("zones: {g: {polygon: [[0, 0], [1, 1], [0.5, 0.5]]}}", "on one line"),
        ("zones: {g: {polygon: [[0, 0], [1, 0], [1, 1], [1, 0], [0, 1]]}}", "cross"),
        ("zones: {g: {poligon: []}}", "unknown key 'zones.g.poligon' .did you mean 'polygon'"),
        ("zones: {a/b: {polygon: [[0, 0], [1, 1], [1, 0]]}}", "zones.a/b: 'a/b' is no name: use letters"),
        ("events: {e: {classes: []}}", "events.e.classes: List should have at least 1 item"),
        ("events: {e: {classes: [x], zone: g}}", "events.e: no such zone: 'g' .there are no zones"),
        ("events: {e: {classes: [x], on: 60}}", "events.e.on: Input should be less than 1"),
        ("events: {e: {classes: [x], on: 0.4, off: 0.6}}", "off 0.6 is above on 0.4"),
        ("events: {e: {classes: [x], for_s: -1}}", "events.e.for_s: Input should be greater than or equal to 0"),
        ("events: {e: {classes: [x], schedule: {to: 25:00}}}", "expected hours and minutes"),
        ("events: {e: {classes: [x], schedule: {days: [monday]}}}", "Input should be 'mon'"),
        ("events: {e: {classes: [x], schedule: {frm: 22:00}}}", "did you mean 'from'"),
        ("event_files: {folder: x}", "there is no rule for events"),
        ("on_event: [http://localhost]", "there is no rule for events"),
        (RULE + "\nevent_files: {}", "event_files.folder: Field required"),
        (RULE + "\nbind: none\non_event: [http://localhost]", "on_event is told by what is published"),
        (
            "zones: {g: {polygon: [[0, 0], [1, 1], [1, 0]], source: yard}}\n"
            "events: {e: {classes: [x], zone: g, source: door}}",
            "events.e: its zone 'g' is in the picture of 'yard'",
        ),
    ],
)
def test_a_mistake_is_one_line_that_says_where(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(StreamcamError, match=message) as error:
        load(tmp_path, lines)
    assert "\n" not in str(error.value)
