"""What takes results."""

from streamcam.records import Result


class Sink:
    """Takes results, on the output thread. Override what is needed."""

    def on_frame(self, result: Result) -> None:
        """Every camera frame, with the newest heat of its session."""

    def on_window(self, result: Result) -> None:
        """Every new heat, with the newest frame of its clip."""

    def tick(self) -> None:
        """Called about every 20 ms, also when nothing comes."""
