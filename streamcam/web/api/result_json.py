"""A `result` as JSON: what the network says, and where in the picture."""

from datetime import UTC, datetime

import msgspec

from streamcam.events.zones import hottest_box
from streamcam.records import Heat, Result
from streamcam.transport.messages import RawMessage, decode


def encode_result_json(camera: str, raw: RawMessage) -> bytes:
    """Encode a `result` as one line of JSON. The OpenAPI document explains its keys.

    Args:
        camera: its id.
        raw: the message.

    Raises:
        MessageError: the message is malformed.
    """
    header, result = raw.header, decode(raw.parts).result
    assert result is not None  # `decode` demands it of a `result`, and its heat
    assert result.heat is not None
    content = {"camera": camera, "source": header.source, "session": header.session, "seq": header.seq}
    return msgspec.json.encode(content | _moments(result) | _findings(result.heat))


def _moments(result: Result) -> dict[str, object]:
    frame = result.frame
    return {
        "pts_s": frame.pts_s,
        "captured": utc(frame.captured_ns),
        "captured_ns": frame.captured_ns,
        "timings_ms": dict(result.timings_ms),
        "drops": dict(result.drops),
    }


def _findings(heat: Heat) -> dict[str, object]:
    """Describe the heat: its classes, each with the box of its hottest region in the newest slice."""
    cells = heat.centred[:, -1]
    rows = zip(heat.classes.tolist(), heat.labels, heat.scores.tolist(), cells, strict=True)
    return {
        "model": heat.model,
        "model_hash": heat.model_hash,
        "clip_pts_s": list(heat.clip_pts_s),
        "heat_pts_s": float(heat.pts_s[-1]),
        "lookahead_s": heat.lookahead_s,
        "classes": [
            {
                "index": index,
                "label": label,
                "score": min(1.0, score),
                "logit": float(heat.logits[index]),
                "box": None if (box := hottest_box(of_class, None, heat.transform)) is None else list(box),
            }
            for index, label, score, of_class in rows
        ],
    }


def utc(unix_ns: int) -> str | None:
    """Write Unix time in nanoseconds as 2026-11-30T17:22:09.041Z; None if no calendar has it."""
    try:
        moment = datetime.fromtimestamp(unix_ns // 1_000_000 / 1e3, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
