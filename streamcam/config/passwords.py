"""Reads passwords and other secrets from files and from the environment."""

import os
from pathlib import Path

from streamcam.errors import StreamcamError


def read_password(file: Path, *, key: str = "password_file") -> str:
    """Read a password that is the only line of a file. `key` names the configuration's key in errors.

    Raises:
        StreamcamError: the file cannot be read, or does not hold one line.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as e:
        raise StreamcamError(f"cannot read {key} {file}: {e.strerror}") from None
    except UnicodeDecodeError:
        raise StreamcamError(f"cannot read {key} {file}: it is not text") from None
    if len(lines) != 1 or not lines[0]:
        raise StreamcamError(f"{key} {file} should hold one line, the {key.split('_')[0]}; it has {len(lines)}")
    return lines[0]


def password_from_environment(variable: str, *, key: str = "password_env") -> str:
    """Return the password in an environment variable. `key` names the configuration's key in errors.

    Raises:
        StreamcamError: the variable is not set, or empty.
    """
    password = os.environ.get(variable)
    if not password:
        state = "is not set" if password is None else "is empty"
        raise StreamcamError(f"{key}: the environment variable {variable} {state}")
    return password
