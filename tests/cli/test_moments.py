from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamcam.cli.moments import read_moment
from streamcam.errors import StreamcamError

unhurried = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


NOW = datetime(2026, 11, 30, 17, 30).astimezone()


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("45s", timedelta(seconds=45)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("1.5 h ago", timedelta(hours=1.5)),
        ("3d", timedelta(days=3)),
        (" 2w ", timedelta(weeks=2)),
    ],
)
def test_a_time_ago_is_from_now(text: str, ago: timedelta) -> None:
    assert read_moment(text, now=NOW) == NOW - ago


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-29", datetime(2026, 11, 29)),
        ("2026-07-01", datetime(2026, 7, 1)),  # in summer time, where there is one
        ("2026-11-29T14:05", datetime(2026, 11, 29, 14, 5)),
        ("2026-11-29 14:05:01.5", datetime(2026, 11, 29, 14, 5, 1, 500_000)),
        ("14:05", datetime(2026, 11, 30, 14, 5)),
        ("09:05:30", datetime(2026, 11, 30, 9, 5, 30)),
        ("2026-11-29T14:05Z", datetime.fromisoformat("2026-11-29T14:05+00:00")),
        ("2026-11-29T14:05+02:00", datetime.fromisoformat("2026-11-29T12:05+00:00")),
    ],
)
def test_a_date_or_time_is_this_machines_unless_it_says_otherwise(text: str, moment: datetime) -> None:
    assert read_moment(text, now=NOW) == moment.astimezone()


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2x", "999999w", "2026-13-01", "25:00", "-2h", "2h\n3d", "0001-01-01T"]
)
def test_anything_else_is_told_of_in_one_line(text: str) -> None:
    with pytest.raises(StreamcamError, match="is no moment: give 2026-11-30") as caught:
        read_moment(text, now=NOW)
    assert str(caught.value).isprintable()


@unhurried
@given(st.text(max_size=30) | st.from_regex(r"\d{1,4}-\d\d-\d\d(T\d\d:\d\d)?|\d+(\.\d+)?[smhdw]", fullmatch=True))
def test_any_text_is_a_moment_or_is_told_of(text: str) -> None:
    try:
        assert read_moment(text, now=NOW).tzinfo is not None
    except StreamcamError as e:
        assert str(e).isprintable()
