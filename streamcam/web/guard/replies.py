"""Short answers for programs."""

import json
from collections.abc import Mapping

from starlette.responses import Response


def problem(status: int, text: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer that says in one line of JSON why a request is refused: `{"error": "…"}`."""
    body = json.dumps({"error": text}, ensure_ascii=False) + "\n"
    return Response(body, status, headers=headers, media_type="application/json")
