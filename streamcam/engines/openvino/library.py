"""OpenVINO itself: imported without its telemetry, and loaded without harm to signals."""

import signal
import sys
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from importlib.util import find_spec
from threading import Thread
from typing import Any, TypeVar

from streamcam.errors import StreamcamError

T = TypeVar("T")


def require_openvino() -> None:
    """Check that OpenVINO is installed, without importing it.

    Raises:
        StreamcamError: it is not installed.
    """
    if find_spec("openvino") is None:
        raise StreamcamError("OpenVINO is not installed: pip install openvino, or use --backend torch")


def import_openvino() -> Any:
    """Import OpenVINO with its telemetry switched off.

    Its converter and NNCF report their use to their makers through the package `openvino_telemetry`, which is installed
    with them. They do without it where it cannot be imported.
    """
    require_openvino()
    # None makes every later import of the package fail.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino


def call_without_signals(function: Callable[[], T]) -> T:
    """Call a function on a thread of its own that handles no signals, and return its result.

    Whatever may load OpenVINO's CPU plugin has to be called like this. The plugin replaces the alternate signal
    stack (sigaltstack) of the thread that loads it. When it is unloaded, that stack's memory is freed, but may stay the
    thread's signal stack. The next signal that the thread handles then kills the process.
    """
    done: Future[T] = Future()

    def body() -> None:
        # Each thread has its own mask. The kernel hands a blocked signal to another thread of the process.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            done.set_result(function())
        except BaseException as e:
            done.set_exception(e)

    Thread(target=body, name="openvino", daemon=True).start()
    return done.result()


@cache
def shared_core() -> Any:
    """Return OpenVINO's core, one for the whole process, with its CPU plugin loaded."""
    core = import_openvino().Core()
    call_without_signals(lambda: core.get_property("CPU", "FULL_DEVICE_NAME"))  # the first question loads the plugin
    return core


def has_bf16() -> bool:
    """Return whether this CPU multiplies bfloat16 natively, and OpenVINO makes use of that."""
    return "BF16" in shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
