"""The interface of every consumer of results."""

from streamcam.records import Result


class Sink:
    """A consumer of results. The pipeline calls it on its output thread; override what is needed.

    All sinks share that thread, so none may block: what takes long goes to a thread of the sink's own. Hand a sink to
    `assemble(…, sinks=[…])` in `streamcam/runtime/app.py`.
    """

    def on_frame(self, result: Result) -> None:
        """Take a camera frame, with the newest heat of its session. Called for every frame."""

    def on_window(self, result: Result) -> None:
        """Take new heat, with the newest frame of its clip. Called for every window."""

    def tick(self) -> None:
        """Do periodic work. Called about every 20 ms, also while no results come."""
