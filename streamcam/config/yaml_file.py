"""Reads YAML files that strangers may have written."""

import re
from pathlib import Path
from typing import Any

import yaml

from streamcam.errors import StreamcamError

MAX_FILE_BYTES = 128 << 10
"""A larger file is refused: PyYAML would take many seconds."""

MAX_DEPTH = 20
"""A file that is nested more deeply is refused: PyYAML recurses once for each level."""


PLAIN = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
}
"""What is no text although it has no quotes, and how it may begin: the core schema of YAML 1.2.

PyYAML's own is that of YAML 1.1, where the key `on` is true, and the time 22:00 is the number 1320.
"""


class Loader(yaml.SafeLoader):
    """YAML without aliases, and not nested too deeply.

    Nine lines of aliases can stand for a billion values.
    """

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node, unless it is an alias or nested too deeply."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise yaml.composer.ComposerError(None, None, "nested too deeply")
        if self.check_event(yaml.AliasEvent):
            mark = self.get_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*) are not for these files", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in PLAIN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _name, (_pattern, _first) in PLAIN.items():
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_pattern})$"), list(_first))


def read_yaml(file: Path) -> dict[str, Any]:
    """Read the keys of a YAML file.

    Raises:
        StreamcamError: there is no such file, or it is not a YAML mapping.
    """
    try:
        content = parse_yaml(_read_text(file))
    except OSError as e:
        raise StreamcamError(f"cannot read {file}: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise StreamcamError(f"cannot read {file}: it is not text") from e
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise StreamcamError(f"{file}{line}: not valid YAML ({getattr(e, 'problem', 'syntax error')})") from None
    except ValueError as e:  # PyYAML makes numbers and dates with Python's own constructors
        raise StreamcamError(f"{file}: a number or date that cannot be one") from e
    if not isinstance(content, dict):
        raise StreamcamError(f"{file}: expected keys and values such as 'model: imagenet'")
    return content


def parse_yaml(text: str) -> Any:
    """Read what a YAML text says.

    Raises:
        yaml.YAMLError: it is not YAML, or has what is not for these files.
        ValueError: a number or date in it cannot be one.
    """
    return yaml.load(text, Loader)


def _read_text(file: Path) -> str:
    with file.open("rb") as opened:
        content = opened.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise StreamcamError(f"{file}: expected at most {MAX_FILE_BYTES >> 10} KiB of YAML")
    return content.decode()
