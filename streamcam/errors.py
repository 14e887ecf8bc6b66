"""The one error that is meant for people, and what keeps passwords out of it."""

import re

# Up to the last @ of the host's part; and, for a password with a slash in it or an address whose scheme is missing or
# misspelt, up to the last @ of the word wherever something with a colon comes first: too much rather than too little.
_USERINFO = re.compile(r"(\w+://?|(?<!\S)(?=[^\s/:@]+:[^\s/]))(?:[^/\s]*|[^/\s:]+:\S*)@")
_SECRET_PARAMETER = re.compile(r"([?&][^=&\s]*(?:pass|pwd|token|key|auth|secret|sig)[^=&\s]*=)[^&\s]*", re.IGNORECASE)


def redact(text: str) -> str:
    """Take user names, passwords and tokens out of URLs in a text.

    >>> redact("rtsp://admin:hunter2@10.0.0.7/live?token=abc")
    'rtsp://***@10.0.0.7/live?token=***'
    """
    return _SECRET_PARAMETER.sub(r"\1***", _USERINFO.sub(r"\1***@", text))


class StreamcamError(Exception):
    """Something that the user can mend: the message says what was wrong and what to do.

    The command line prints it as one line and exits with code 2. It never holds a password.
    """

    def __init__(self, message: str) -> None:
        super().__init__(redact(message))


class StuckError(Exception):
    """A thread hangs where nobody can wake it: only a new process helps. The command line exits with code 70."""
