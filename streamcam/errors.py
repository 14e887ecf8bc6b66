"""The one error that is meant for people, and what keeps passwords out of it."""

import re

# Each looks at a text of n characters in O(n): a configuration of 40 kB may consist of anything.
# Up to the last @ of the host's part; and, for a password with a slash in it or an address whose scheme is missing or
# misspelt, up to the last @ of the word wherever something with a colon comes first: too much rather than too little.
_WORD = re.compile(r"\S+")
_USERINFO = re.compile(r"(\b\w+://?|(?<!\S)(?=[^\s/:@]+:[^\s/]))(?:[^/\s]*|[^/\s:]+:\S*)@")
# Some cameras have them in the path: /user=admin_password=…_channel=1.sdp
_SECRET_PARAMETER = re.compile(
    r"((?:(?<=[&;/])|(?<![^=&;/\s])[^=&;/\s?_]*+[?_])"
    r"(?>[^=&;/\s]*?(?:pass|pwd|psw|token|key|auth|secret|sig))[^=&;/\s]*+=)[^&\s]*",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Take user names, passwords and tokens out of URLs in a text.

    >>> redact("rtsp://admin:hunter2@10.0.0.7/live?token=abc")
    'rtsp://***@10.0.0.7/live?token=***'
    """
    return _SECRET_PARAMETER.sub(r"\1***", _WORD.sub(_without_userinfo, text))


def _without_userinfo(word: re.Match[str]) -> str:
    before, at, after = word[0].rpartition("@")
    return _USERINFO.sub(r"\1***@", before + at) + after


def printable(text: str) -> str:
    r"""Text as it can be shown: what would move a terminal's cursor, colour it or turn its text round is spelt out.

    >>> printable("one\x1b[2Jtwo")
    'one\\x1b[2Jtwo'
    """
    shown = (c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)


def one_line(text: str) -> str:
    r"""The same for a text that is to stay in its line: with a file's name in it, or drawn into a picture.

    It can be encoded, and OpenCV can draw it, also where a name is not text at all.

    >>> one_line("two\nlines, \udcff")
    'two\\nlines, \\udcff'
    """
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def redact_uri(uri: str) -> str:
    """The same for a text that is a URL and nothing else, whatever stands in its password.

    >>> redact_uri("rtsp://admin:hunt er/2@10.0.0.7/live")
    'rtsp://***@10.0.0.7/live'
    """
    before, at, after = uri.rpartition("@")
    scheme = re.match(r"\w+:/{0,2}", before)
    hidden = f"{scheme[0] if scheme else ''}***@{after}" if at else uri
    begin, sign, query = hidden.partition("?")
    return redact(begin + sign + re.sub(r"\s", "_", query))


class StreamcamError(Exception):
    """Something that the user can mend: the message says what was wrong and what to do.

    The command line prints it as one line and exits with code 2. It never holds a password, nor anything that a
    terminal would obey.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(redact(message)))


class LostError(StreamcamError):
    """What this process was given is lost to it (a device that failed): only a new process helps, with code 70."""


class StuckError(Exception):
    """A thread hangs where nobody can wake it: only a new process helps. The command line exits with code 70."""
