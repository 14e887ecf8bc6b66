"""Reads passwords of network cameras from files and from the environment."""

import os
from pathlib import Path

from streamcam.errors import StreamcamError


def read_password(file: Path) -> str:
    """Read a password that is the only line of a file.

    Raises:
        StreamcamError: the file cannot be read, or does not hold one line.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as e:
        raise StreamcamError(f"cannot read password_file {file}: {e.strerror}") from None
    except UnicodeDecodeError:
        raise StreamcamError(f"cannot read password_file {file}: it is not text") from None
    if len(lines) != 1 or not lines[0]:
        raise StreamcamError(f"password_file {file} should hold one line, the password; it has {len(lines)}")
    return lines[0]


def password_from_environment(variable: str) -> str:
    """Return the password in an environment variable.

    Raises:
        StreamcamError: the variable is not set, or empty.
    """
    password = os.environ.get(variable)
    if not password:
        state = "is not set" if password is None else "is empty"
        raise StreamcamError(f"password_env: the environment variable {variable} {state}")
    return password
