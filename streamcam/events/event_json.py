"""An event as JSON: the fields of `Event`, a rectangle as [left, top, right, bottom]."""

import msgspec

from streamcam.errors import StreamcamError
from streamcam.events.event import Event


def encode_event(event: Event) -> bytes:
    """Encode an event as JSON, in UTF-8, without line breaks."""
    return msgspec.json.encode(event)


def decode_event(content: bytes) -> Event:
    """Decode what `encode_event` has made; fields that it does not know are ignored.

    Raises:
        StreamcamError: it is not the JSON of an event.
    """
    try:
        return msgspec.json.decode(content, type=Event)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise StreamcamError(f"not an event: {e}") from None
