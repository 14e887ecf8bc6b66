"""A window that shows pictures and reads keys."""

from types import TracebackType
from typing import Self

import cv2

from streamcam.errors import StreamcamError
from streamcam.records import Image

WINDOW, WINDOW_SIZE = "streamcam", (800, 600)


class PictureWindow:
    """A window on a display that has been checked (`display.require_display`). There is one at a time."""

    def __init__(self, *, instead: str) -> None:
        """Note what to advise if this OpenCV has no windows, such as "use --no-window"."""
        self._instead = instead

    def __enter__(self) -> Self:
        """Open it.

        Raises:
            StreamcamError: this OpenCV was built without windows.
        """
        try:
            cv2.namedWindow(WINDOW, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
            cv2.resizeWindow(WINDOW, *WINDOW_SIZE)
        except cv2.error as e:
            raise StreamcamError(
                "this OpenCV cannot open windows: pip uninstall opencv-python-headless, then "
                f"pip install --force-reinstall opencv-python (or {self._instead})"
            ) from e
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        cv2.destroyAllWindows()

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed. To show a picture in a closed window would open it again."""
        try:
            return cv2.getWindowProperty(WINDOW, cv2.WND_PROP_VISIBLE) > 0
        except cv2.error:  # the window has been closed
            return False

    def show(self, picture: Image) -> None:
        """Show a picture, uint8 [H,W,3] RGB. It appears with the next `read_key`."""
        cv2.imshow(WINDOW, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def read_key(self) -> str | None:
        """Return the key that was pressed, if any; and let the window handle its other events."""
        code = cv2.waitKey(1)
        return None if code < 0 else chr(code & 0xFF)
