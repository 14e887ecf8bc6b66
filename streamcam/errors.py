"""The errors that are meant for people, and functions that keep passwords and control characters out of texts."""

import re

# Each pattern takes O(n) for a text of n characters: a configuration may hold 40 kB of anything.
# _USERINFO matches from `scheme://` up to the last @ of the host part. A password may hold a slash, and a scheme may be
# missing or misspelt. So wherever something with a colon comes first, it matches up to the last @ of the word: it hides
# too much rather than too little.
_WORD = re.compile(r"\S+")
_USERINFO = re.compile(r"(\b\w+://?|(?<!\S)(?=[^\s/:@]+:[^\s/]))(?:[^/\s]*|[^/\s:]+:\S*)@")
# Some cameras take the login in the path: /user=admin_password=…_channel=1.sdp
_SECRET_PARAMETER = re.compile(
    r"((?:(?<=[&;/])|(?<![^=&;/\s])[^=&;/\s?_]*+[?_])"
    r"(?>[^=&;/\s]*?(?:pass|pwd|psw|token|key|auth|secret|sig))[^=&;/\s]*+=)[^&\s]*",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Replace user names, passwords and tokens of the URLs in a text by `***`.

    >>> redact("rtsp://admin:hunter2@10.0.0.7/live?token=abc")
    'rtsp://***@10.0.0.7/live?token=***'
    """
    return _SECRET_PARAMETER.sub(r"\1***", _WORD.sub(_without_userinfo, text))


def _without_userinfo(word: re.Match[str]) -> str:
    before, at, after = word[0].rpartition("@")
    return _USERINFO.sub(r"\1***@", before + at) + after


def printable(text: str) -> str:
    r"""Spell out characters that would move a terminal's cursor, colour it or turn its text round.

    >>> printable("one\x1b[2Jtwo")
    'one\\x1b[2Jtwo'
    """
    shown = (c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)


def one_line(text: str) -> str:
    r"""Make a text printable and keep it in one line, as for a file's name or for text in a picture.

    The result can be encoded as UTF-8, and OpenCV can draw it, even where a file's name is not valid text.

    >>> one_line("two\nlines, \udcff")
    'two\\nlines, \\udcff'
    """
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def redact_uri(uri: str) -> str:
    """Redact a text that is one URL and nothing else. Its password may hold any character, even spaces.

    >>> redact_uri("rtsp://admin:hunt er/2@10.0.0.7/live")
    'rtsp://***@10.0.0.7/live'
    """
    before, at, after = uri.rpartition("@")
    scheme = re.match(r"\w+:/{0,2}", before)
    hidden = f"{scheme[0] if scheme else ''}***@{after}" if at else uri
    begin, sign, query = hidden.partition("?")
    return redact(begin + sign + re.sub(r"\s", "_", query))


class StreamcamError(Exception):
    """An error that the user can mend: the message says what was wrong and what to do.

    The command line prints it as one line and exits with code 2. The message is redacted, and free of control
    characters.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(redact(message)))


class LostError(StreamcamError):
    """A device has failed, and this process cannot use it again. The command line exits with code 70: start it anew."""


class StuckError(Exception):
    """A thread hangs and cannot be woken. The command line exits with code 70: start it anew."""
