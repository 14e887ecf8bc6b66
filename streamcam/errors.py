"""Errors that are meant for people, and functions that keep passwords out of their texts."""

import re

# Each pattern takes O(n) for a text of n characters: a configuration file of 40 kB may consist of anything.
# _USERINFO matches up to the last @ of the host's part. A password may hold a slash, and a scheme may be missing or
# misspelt: there it matches up to the last @ of the word, if something with a colon comes first. That hides too much
# rather than too little.
_WORD = re.compile(r"\S+")
_USERINFO = re.compile(r"(\b\w+://?|(?<!\S)(?=[^\s/:@]+:[^\s/]))(?:[^/\s]*|[^/\s:]+:\S*)@")
# Some cameras take the login as a part of the path: /user=admin_password=…_channel=1.sdp
_SECRET_PARAMETER = re.compile(
    r"((?:(?<=[&;/])|(?<![^=&;/\s])[^=&;/\s?_]*+[?_])"
    r"(?>[^=&;/\s]*?(?:pass|pwd|psw|token|key|auth|secret|sig))[^=&;/\s]*+=)[^&\s]*",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Replace user names, passwords and tokens in the URLs of a text by `***`.

    >>> redact("rtsp://admin:hunter2@10.0.0.7/live?token=abc")
    'rtsp://***@10.0.0.7/live?token=***'
    """
    return _SECRET_PARAMETER.sub(r"\1***", _WORD.sub(_without_userinfo, text))


def _without_userinfo(word: re.Match[str]) -> str:
    before, at, after = word[0].rpartition("@")
    return _USERINFO.sub(r"\1***@", before + at) + after


def printable(text: str) -> str:
    r"""Spell out the characters that would move a terminal's cursor, colour it or reverse its text.

    >>> printable("one\x1b[2Jtwo")
    'one\\x1b[2Jtwo'
    """
    shown = (c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)


def one_line(text: str) -> str:
    r"""Do the same as `printable`, and spell out line breaks and tabs too.

    Use it for a text with a file's name in it, or one that is drawn into a picture. The result can always be encoded
    and drawn by OpenCV, even where the name is not valid UTF-8.

    >>> one_line("two\nlines, \udcff")
    'two\\nlines, \\udcff'
    """
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def redact_uri(uri: str) -> str:
    """Do the same as `redact` for a text that is one URL: its password may hold any character.

    >>> redact_uri("rtsp://admin:hunt er/2@10.0.0.7/live")
    'rtsp://***@10.0.0.7/live'
    """
    before, at, after = uri.rpartition("@")
    scheme = re.match(r"\w+:/{0,2}", before)
    hidden = f"{scheme[0] if scheme else ''}***@{after}" if at else uri
    begin, sign, query = hidden.partition("?")
    return redact(begin + sign + re.sub(r"\s", "_", query))


def first_line(error: BaseException, *, limit: int | None = 200) -> str:
    """Return the first line of an exception's text, or the name of its type where it has no text.

    Args:
        error: any exception. PyTorch's have many lines.
        limit: how many characters to return at most; None returns them all.
    """
    lines = str(error).strip().splitlines()
    return lines[0][:limit] if lines else type(error).__name__


class StreamcamError(Exception):
    """An error that the user can mend: its message says what was wrong and what to do.

    The command line prints the message as one line and exits with code 2. The message never holds a password, nor a
    control character that a terminal would obey.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(redact(message)))


class LostError(StreamcamError):
    """A device failed, and this process cannot use it again: the command line exits with code 70."""


class StuckError(Exception):
    """A thread hangs and cannot be woken, so only a new process helps: the command line exits with code 70."""
