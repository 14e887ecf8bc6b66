"""Starts a program for each event, with the event as JSON on its standard input."""

import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

from streamcam.config.notify import CommandConfig
from streamcam.errors import StreamcamError, one_line
from streamcam.event import Event
from streamcam.events.event_json import encode_event
from streamcam.notify.names import spool_name
from streamcam.notify.target import RefusedError

log = logging.getLogger(__name__)


class CommandTarget:
    """Runs a program for one event after the other. There is no shell, so nothing in an event is ever a command.

    A program that fails is not started again for the same event: it may have done half of its work.
    """

    at_once, backoff_max_s = 1, 60.0

    def __init__(self, config: CommandConfig) -> None:
        """Look for the program.

        Raises:
            StreamcamError: there is no such program.
        """
        self._arguments, self._timeout_s = config.arguments, config.timeout_s
        program = self._arguments[0]
        self.name = spool_name("command", config.command)
        self.shown = one_line(program)  # the arguments may hold a password
        if shutil.which(program) is None:
            raise StreamcamError(f"no such program, or it is not executable: {one_line(program)} (for an event's JSON)")

    def tell(self, events: Sequence[Event]) -> None:
        """Run the program to its end, or until its time is over."""
        for event in events:
            self._run(encode_event(event))

    def close(self) -> None:
        """Do nothing: no program is left."""

    def _run(self, content: bytes) -> None:
        try:
            # A session of its own: when its time is over, what it has started is ended with it.
            process = subprocess.Popen(
                self._arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as e:
            raise RefusedError(f"cannot start it: {e.strerror}") from None
        with process:
            try:
                process.communicate(content, timeout=self._timeout_s)
            except subprocess.TimeoutExpired:
                log.warning("%s takes longer than %g s: it is killed", self.shown, self._timeout_s)
                _kill_group(process)
                return
        if process.returncode != 0:
            log.warning("%s ends with exit code %d", self.shown, process.returncode)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
