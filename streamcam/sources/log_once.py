"""Warnings that are logged once in a process, and not once for each of a thousand clips that are trained on."""

import logging

_logged: set[str] = set()


def warn_once(log: logging.Logger, message: str) -> None:
    """Log a warning, if this process has not logged the same message before."""
    if message not in _logged:
        _logged.add(message)
        log.warning("%s", message)
