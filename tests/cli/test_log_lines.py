"""Log records of a run are printed once, on the console of the status line."""

import io
import logging

import pytest
from rich.console import Console

from streamcam.cli.output.log_lines import print_events
from streamcam.sources.status import SourceStatus, StatusLog

LOST = SourceStatus("lost", reason="cannot open rtsp://door: nobody listens there", wait_s=0.5)


def test_a_source_that_is_lost_and_live_again_is_printed_once_each() -> None:
    text, log = io.StringIO(), StatusLog()
    with print_events(Console(file=text, width=40)):
        for status in (SourceStatus("live"), LOST, SourceStatus("connecting"), LOST, SourceStatus("live", session=1)):
            log.note("door", status)
        log.note("door", SourceStatus("stalled", session=1))
        log.note("door", SourceStatus("live", session=1))
        log.note("door", SourceStatus("ended", session=1))
    assert text.getvalue() == f"door {LOST}\ndoor is there\n"


def test_warnings_are_printed_in_one_line_each_and_information_is_not() -> None:
    text, log = io.StringIO(), logging.getLogger("streamcam.sinks")
    with print_events(Console(file=text, width=40)):
        log.warning("%s holds [markup] and\na line", "a.mp4")
        log.info("nothing to see")
    assert text.getvalue() == "a.mp4 holds [markup] and\\na line\n"


def test_after_the_run_logging_is_as_it_was() -> None:
    package, status_log = logging.getLogger("streamcam"), logging.getLogger("streamcam.sources.status")
    before = list(package.handlers), status_log.level
    text = io.StringIO()
    with pytest.raises(RuntimeError), print_events(Console(file=text)):
        assert len(package.handlers) == len(before[0]) + 1
        raise RuntimeError
    assert (list(package.handlers), status_log.level) == before
    package.warning("later")
    assert text.getvalue() == ""
