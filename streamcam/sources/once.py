"""What is worth a line, and not a line for each of a thousand clips that are trained on."""

import logging

_said: set[str] = set()


def say_once(log: logging.Logger, what: str) -> None:
    """A warning, the first time in this process."""
    if what not in _said:
        _said.add(what)
        log.warning(what)
