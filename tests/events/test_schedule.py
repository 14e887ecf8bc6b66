"""Days and hours."""

from datetime import datetime

import pytest

from streamcam.config.events import Schedule
from streamcam.events.schedule import is_scheduled

MONDAY = "2026-11-30"


def schedule(**keys: object) -> Schedule:
    return Schedule.model_validate(keys)


@pytest.mark.parametrize(
    ("keys", "moment", "is_in"),
    [
        ({}, f"{MONDAY} 03:00", True),
        ({"days": ["mon"]}, f"{MONDAY} 23:59", True),
        ({"days": ["tue"]}, f"{MONDAY} 12:00", False),
        ({"from": "08:00", "to": "18:00"}, f"{MONDAY} 08:00", True),
        ({"from": "08:00", "to": "18:00"}, f"{MONDAY} 18:00", False),
        ({"from": "22:00", "to": "06:00"}, f"{MONDAY} 23:00", True),
        ({"from": "22:00", "to": "06:00"}, f"{MONDAY} 12:00", False),
        # A night belongs to the day on which it begins.
        ({"days": ["mon"], "from": "22:00", "to": "06:00"}, "2026-12-01 05:59", True),
        ({"days": ["tue"], "from": "22:00", "to": "06:00"}, "2026-12-01 05:59", False),
        ({"from": "08:00", "to": "08:00"}, f"{MONDAY} 03:00", True),
        ({"from": "22:00"}, f"{MONDAY} 23:00", True),
        ({"from": "22:00"}, f"{MONDAY} 21:00", False),
        ({"to": "06:00"}, f"{MONDAY} 05:00", True),
        ({"to": "06:00"}, f"{MONDAY} 07:00", False),
    ],
)
def test_a_schedule_holds_on_its_days_and_between_its_hours(keys: dict[str, object], moment: str, is_in: bool) -> None:
    assert is_scheduled(schedule(**keys), datetime.fromisoformat(moment)) is is_in


def test_without_a_schedule_it_is_always() -> None:
    assert is_scheduled(None, datetime.fromisoformat(f"{MONDAY} 12:00"))
