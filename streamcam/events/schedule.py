"""Days and hours in which a rule may begin an event."""

from datetime import datetime, time, timedelta

from streamcam.config.events import Schedule

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def is_scheduled(schedule: Schedule | None, moment: datetime) -> bool:
    """Whether a moment of local time lies in a schedule.

    From 22:00 to 06:00 is one night, and it belongs to the day on which it begins. From and to the same minute is the
    whole day.
    """
    if schedule is None:
        return True
    begin, end, now = schedule.begin, schedule.end, moment.time()
    today = _DAYS[moment.weekday()] in schedule.days
    if begin == end == time(0):
        return today
    if begin < end:
        return today and begin <= now < end
    yesterday = _DAYS[(moment - timedelta(days=1)).weekday()] in schedule.days
    return (today and now >= begin) or (yesterday and now < end)
