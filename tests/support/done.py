"""The future of a batch that an engine of a test has computed already."""

from collections.abc import Sequence

from streamcam.engines.base import BatchFuture
from streamcam.records import Heat


class Done(BatchFuture):
    """A batch that was computed when it was submitted."""

    def __init__(self, heats: Sequence[Heat | None]) -> None:
        super().__init__(done=lambda: True, wait=lambda: heats)
