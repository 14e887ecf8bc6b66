"""The viewer with a window, as `streamcam view` has it, which notes how old each picture is once it is drawn.

    python -m scripts.web.native ENDPOINT [--seconds 10] [--window]

Its loop is that of `streamcam/viewer/window.py`. It receives frames and heat of all cameras, and draws the first one.
With `--window` it shows them, too (DISPLAY); a picture then counts once the window has handled its events. It says
`measuring` once pictures come, and a line of JSON at its end.
"""

import argparse
import json
import time
from contextlib import ExitStack

from streamcam.transport.subscriber import Subscriber
from streamcam.viewer.picture_window import PictureWindow
from streamcam.viewer.screen import Screen, View
from streamcam.viewer.window import POLL_S

WARM_UP_S = 2.0


def main() -> None:
    """Receive and draw for a while."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("endpoint")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--window", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        subscriber = stack.enter_context(Subscriber(options.endpoint, kinds=("frame", "result", "status")))
        window = stack.enter_context(PictureWindow(instead="--window not")) if options.window else None
        drawn_ages_ms(options.endpoint, subscriber, window, WARM_UP_S)
        print("measuring", flush=True)
        began_s, cpu_s = time.monotonic(), time.process_time()
        ages_ms = drawn_ages_ms(options.endpoint, subscriber, window, options.seconds)
        cores = (time.process_time() - cpu_s) / (time.monotonic() - began_s)
    print(json.dumps({"ages_ms": ages_ms, "cores": round(cores, 3)}), flush=True)


def drawn_ages_ms(
    endpoint: str, subscriber: Subscriber, window: PictureWindow | None, seconds: float
) -> dict[str, list[float]]:
    """Draw for a while; return the age of each picture when it is drawn, by camera."""
    screen, view, ages_ms = Screen(endpoint), View(), dict[str, list[float]]()
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        message = next(subscriber.messages(timeout_s=POLL_S), None)
        changed = None if message is None else screen.take(message)
        if changed is not None and changed == screen.visible_source(view):
            picture = screen.picture(view, subscriber.skipped, subscriber.refused)
            if window is not None:
                window.show(picture)
                window.read_key()
            assert message is not None
            assert message.header.frame is not None
            ages_ms.setdefault(changed, []).append((time.time_ns() - message.header.frame.captured_ns) / 1e6)
        elif window is not None:
            window.read_key()
    return ages_ms


if __name__ == "__main__":
    main()
