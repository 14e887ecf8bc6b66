"""Reads moments as people write them."""

import re
from datetime import datetime, time, timedelta

from streamcam.errors import StreamcamError, one_line

_AGO = re.compile(r"(\d{1,6}(?:\.\d+)?)\s*([smhdw])(?:\s+ago)?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def read_moment(text: str, *, now: datetime) -> datetime:
    """Read `2026-11-30`, `2026-11-30T14:05`, `14:05` (today) or `2h` (ago; also s, m, d, w).

    Args:
        text: what was written. Without a time zone it is this machine's time.
        now: this moment, in this machine's time zone.

    Raises:
        StreamcamError: it is none of these.
    """
    text = text.strip()
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        if ":" in text[:3]:
            return datetime.combine(now.date(), time.fromisoformat(text)).astimezone()
        moment = datetime.fromisoformat(text)
        return moment.astimezone()
    except (ValueError, OverflowError) as e:
        raise StreamcamError(
            f"{one_line(text)!r} is no moment: give 2026-11-30, 2026-11-30T14:05, 14:05 for today, or 2h or 3d for ago"
        ) from e
