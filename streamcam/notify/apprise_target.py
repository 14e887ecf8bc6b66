"""Tells services that apprise knows, with the event's picture where there is one."""

from collections.abc import Sequence
from pathlib import Path

from streamcam.config.notify import AppriseConfig
from streamcam.errors import StreamcamError
from streamcam.event import Event
from streamcam.notify.names import spool_name
from streamcam.notify.snapshot import find_snapshot
from streamcam.notify.target import TryAgainError


class AppriseTarget:
    """Sends one message for each event."""

    at_once, backoff_max_s = 1, 60.0

    def __init__(self, config: AppriseConfig, *, event_folder: Path | None) -> None:
        """Check the URL; nothing is sent yet.

        Raises:
            StreamcamError: apprise is not installed, does not know the URL, or the URL cannot be read.
        """
        try:
            import apprise
        except ImportError:
            raise StreamcamError("apprise is missing: pip install 'streamcam[notify]'") from None
        url = config.read_url()
        scheme = url.partition("://")[0] if "://" in url else "?"
        self._service, self._folder = apprise.Apprise(), event_folder
        if not self._service.add(url):
            raise StreamcamError(f"apprise does not know this URL: {scheme[:20]}://… (see its list of services)")
        self.name = spool_name("apprise", url)
        self.shown = f"{scheme}://…"

    def tell(self, events: Sequence[Event]) -> None:
        """Send a message for each event."""
        for event in events:
            picture = find_snapshot(event, self._folder)
            attached = None if picture is None else str(picture)
            try:
                arrived = self._service.notify(body=body_of(event), title=title_of(event), attach=attached)
            except Exception as e:  # a hundred services, each with its own errors, which may hold the URL
                raise TryAgainError(type(e).__name__, answered=True) from None
            if not arrived:
                raise TryAgainError("it was not sent", answered=True)

    def close(self) -> None:
        """Do nothing: apprise keeps no connection."""


def title_of(event: Event) -> str:
    """Return the first line for people, such as `yard: wrong-way (car)`."""
    return f"{event.source}: {event.rule} ({event.label})"


def body_of(event: Event) -> str:
    """Return the rest: what has happened when, and how surely."""
    moments = {
        "start": "It has begun",
        "update": f"It has gone on for {event.seconds:.0f} s",
        "end": f"It is over after {event.seconds:.0f} s",
        "saved": f"It took {event.seconds:.0f} s, and its files are complete",
    }
    zone = f" in {event.zone}" if event.zone else ""
    began = event.started.astimezone()
    return f"{moments[event.state]}{zone}. Score up to {event.peak:.0%}; began {began:%Y-%m-%d %H:%M:%S %Z}."
