"""Changes single keys of a YAML text, and leaves every other character of it as it is: comments, order, spelling.

PyYAML tells where each node stands. A change is made there, in the text. Whoever calls reads the new text once more
and compares. So a case that is not thought of here is refused, and never written.
"""

import json
import re
from typing import Any

import yaml

from streamcam.config.yaml_file import Loader, parse_yaml

_LINE_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_TO_COLON = re.compile(r"[ \t\r\n]*:")
READERS = (Loader, yaml.SafeLoader)
"""Of YAML 1.2, as ours is, and of 1.1, as most others are."""
_PROPERTIES = re.compile(r"([ \t]+[&!]\S*)+")
"""An anchor and a tag, which stand before a value."""
_STEP = 2
"""Columns by which what is added is indented."""


class CannotEditError(ValueError):
    """The text is written in a way that is not changed here."""


class YamlText:
    """A YAML text whose root is a mapping, and changes of it. Each change is made at once."""

    def __init__(self, text: str) -> None:
        """Take a text that can be read.

        Raises:
            yaml.YAMLError: it is not YAML, or nested too deeply, or has aliases.
        """
        self.text = text
        found = _LINE_BREAK.search(text)
        self._line_break = found[0] if found else "\n"

    @property
    def content(self) -> Any:
        """What the text says."""
        return parse_yaml(self.text)

    def has(self, *path: str) -> bool:
        """Whether there is a key at the end of a path of keys."""
        return self._entry(path) is not None

    def set(self, *path: str, value: str) -> None:
        """Give the key at the end of a path another value, or add it behind its neighbours.

        Args:
            path: keys from the root on. Those that are not there are added.
            value: in flow style, on one line.

        Raises:
            CannotEditError: what is there is written in a way that is not changed here.
        """
        entry = self._entry(path)
        if entry is not None and _is_empty(entry[1]) and _is_mapping_text(value):
            self._fill(path, entry[1], value)
        elif entry is not None:
            self._replace(*self._span(*entry), value if _is_flow(entry[1]) else f" {value}")
        elif len(path) > 1 and self._is_vacant(path[:-1]):
            self.set(*path[:-1], value=f"{{{scalar(path[-1])}: {value}}}")
        else:
            self._append(self._mapping(path[:-1]), path, value)

    def rename(self, *path: str, name: str) -> None:
        """Give the key at the end of a path another name."""
        key = self._entry_of(path)[0]
        self._replace(_at(key), key.end_mark.index, scalar(name))

    def remove(self, *path: str) -> None:
        """Remove the key at the end of a path, and its value. Comments before it stay.

        Raises:
            CannotEditError: what is there is written in a way that is not changed here.
        """
        mapping, at = self._mapping(path[:-1]), _at(self._entry_of(path)[0])
        place = next(i for i, (key, _) in enumerate(mapping.value) if _at(key) == at)
        if mapping.flow_style:
            self._remove_from_flow(mapping, place)
        else:
            self._remove_lines(mapping, place, path)

    def _remove_from_flow(self, mapping: yaml.MappingNode, place: int) -> None:
        pairs = mapping.value
        if place > 0:
            self._replace(self._end(pairs[place - 1][1]), self._end(pairs[place][1]), "")
        elif len(pairs) > 1:
            self._replace(_at(pairs[0][0]), _at(pairs[1][0]), "")
        else:
            self._replace(_at(pairs[0][0]), mapping.end_mark.index - 1, "")

    def _remove_lines(self, mapping: yaml.MappingNode, place: int, path: tuple[str, ...]) -> None:
        key, value = mapping.value[place]
        begin = self._line_begin(_at(key))
        if self.text[begin : _at(key)].strip(" ?"):
            raise CannotEditError(f"{'.'.join(path)} shares its line with something else")
        end = self._next_line(self._end(value))
        colon = self._colon(self._entry_of(path[:-1])[0])
        self._replace(begin, end, "")
        if len(mapping.value) == 1:  # it was the last one: a key without a value would be null
            found = _PROPERTIES.match(self.text, colon)
            self._replace(found.end() if found else colon, found.end() if found else colon, " {}")

    def _root(self) -> yaml.MappingNode:
        root = yaml.compose(self.text, Loader)
        if not isinstance(root, yaml.MappingNode):
            raise CannotEditError("there are no keys and values")
        return root

    def _entry(self, path: tuple[str, ...]) -> tuple[yaml.Node, yaml.Node] | None:
        """Return the key and value at the end of a path; of keys that are there twice, the last, which counts."""
        node: yaml.Node = self._root()
        entry = None
        for name in path:
            pairs = node.value if isinstance(node, yaml.MappingNode) else []
            entry = next((pair for pair in reversed(pairs) if _constructed(pair[0]) == name), None)
            if entry is None:
                return None
            node = entry[1]
        return entry

    def _entry_of(self, path: tuple[str, ...]) -> tuple[yaml.Node, yaml.Node]:
        entry = self._entry(path)
        if entry is None:
            raise CannotEditError(f"there is no {'.'.join(path)}")
        return entry

    def _is_vacant(self, path: tuple[str, ...]) -> bool:
        """Whether a path leads nowhere, or to a key without a value."""
        entry = self._entry(path)
        return entry is None or _is_empty(entry[1])

    def _value(self, path: tuple[str, ...]) -> yaml.Node:
        return self._entry_of(path)[1] if path else self._root()

    def _mapping(self, path: tuple[str, ...]) -> yaml.MappingNode:
        node = self._value(path)
        if not isinstance(node, yaml.MappingNode):
            raise CannotEditError(f"{'.'.join(path)} has no keys and values")
        return node

    def _span(self, key: yaml.Node, value: yaml.Node) -> tuple[int, int]:
        """Return where a value stands; one in block style, from the colon on."""
        return (_at(value) if _is_flow(value) else self._colon(key)), self._end(value)

    def _colon(self, key: yaml.Node) -> int:
        """Return the place behind the colon of a key."""
        found = _TO_COLON.match(self.text, key.end_mark.index)
        if found is None:
            raise CannotEditError(f"no colon follows {str(key.value)[:60]!r} at once")
        return found.end()

    def _fill(self, path: tuple[str, ...], value: yaml.Node, mapping: str) -> None:
        """Give a key without a value one: below it where there is room, or else on its line."""
        key = self._entry_of(path)[0]
        in_block = len(path) == 1 and not self._root().flow_style
        if _at(value) == self._end(value) and in_block:
            self._insert_line(self._colon(key), " " * (key.start_mark.column + _STEP) + mapping[1:-1])
        else:
            self._replace(_at(value), self._end(value), mapping if _at(value) != self._end(value) else f" {mapping}")

    def _append(self, mapping: yaml.MappingNode, path: tuple[str, ...], value: str) -> None:
        added = f"{scalar(path[-1])}: {value}"
        if mapping.flow_style:
            # The end is that of the last value, so what is between it and the brace (a comma, a comment) stays.
            at = self._end(mapping.value[-1][1]) if mapping.value else mapping.end_mark.index - 1
            self._replace(at, at, f", {added}" if mapping.value else added)
            return
        indent = " " * mapping.value[0][0].start_mark.column
        if len(path) == 1 and _is_mapping_text(value) and value != "{}":
            added = f"{scalar(path[-1])}:{self._line_break}{indent}{' ' * _STEP}{value[1:-1]}"
        # What comes last in a file goes behind the comments that end it.
        self._insert_line(mapping.end_mark.index if len(path) == 1 else self._end(mapping), indent + added)

    def _end(self, node: yaml.Node) -> int:
        """Return where a node ends. One in block style is said to end where the next one begins, behind comments."""
        if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            return len(self.text[: node.end_mark.index].rstrip())
        if _is_flow(node) or not node.value:
            return int(node.end_mark.index)
        last = node.value[-1]
        return self._end(last[1] if isinstance(last, tuple) else last)

    def _insert_line(self, after: int, line: str) -> None:
        """Insert a line behind the one on which a place is."""
        at = self._next_line(after)
        begins_line = at == 0 or self._line_begin(at) == at
        self._replace(at, at, ("" if begins_line else self._line_break) + line + self._line_break)

    def _next_line(self, at: int) -> int:
        """Return where the line behind a place's begins; a place at the beginning of a line is such a place itself."""
        if at > 0 and self._line_begin(at) == at:
            return at
        found = _LINE_BREAK.search(self.text, at)
        return found.end() if found else len(self.text)

    def _line_begin(self, at: int) -> int:
        return max((found.end() for found in _LINE_BREAK.finditer(self.text, 0, at)), default=0)

    def _replace(self, begin: int, end: int, by: str) -> None:
        self.text = self.text[:begin] + by + self.text[end:]


def scalar(text: str) -> str:
    """Write a text so that every reader of YAML takes it for that text: in quotes where it could be something else."""
    plain = _PLAIN.fullmatch(text) is not None
    return text if plain and all(_reads_as_text(text, reader) for reader in READERS) else json.dumps(text)


def _reads_as_text(text: str, reader: type[yaml.SafeLoader]) -> bool:
    try:
        return bool(yaml.load(text, reader) == text)
    except (yaml.YAMLError, ValueError):
        return False


def _at(node: yaml.Node) -> int:
    return int(node.start_mark.index)


def _is_flow(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) or (isinstance(node, yaml.CollectionNode) and bool(node.flow_style))


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _is_mapping_text(value: str) -> bool:
    return value.startswith("{") and value.endswith("}")


def _constructed(key: yaml.Node) -> object:
    return key.value if isinstance(key, yaml.ScalarNode) and key.tag == "tag:yaml.org,2002:str" else None
