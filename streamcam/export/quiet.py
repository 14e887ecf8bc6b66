"""Keeps what libraries log and warn of while they convert a network from people."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Keep warnings, and log lines of these loggers, from being shown."""
    found = [logging.getLogger(name) for name in loggers]
    levels = [logger.level for logger in found]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in found:
                logger.setLevel(logging.CRITICAL)
            yield
        finally:
            for logger, level in zip(found, levels, strict=True):
                logger.setLevel(level)
