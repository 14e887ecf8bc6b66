"""Keeps passwords out of the command line that other users of the machine can read."""

import sys

from setproctitle import getthreadtitle, setproctitle, setthreadtitle

from streamcam.errors import one_line, redact_uri


def hide_passwords() -> None:
    """Redact URIs in the command line that `ps` shows, if any holds a login. Other arguments stay as they are."""
    redacted = [redact_uri(argument) if "://" in argument else argument for argument in sys.orig_argv]
    if redacted != sys.orig_argv:
        command = getthreadtitle()
        setproctitle(one_line(" ".join(redacted)))
        setthreadtitle(command)  # the name for `pgrep` and `top`, which setproctitle replaces as well
