"""Names of classes as people write them → which of a model's classes are meant."""

from collections.abc import Sequence
from difflib import get_close_matches

from streamcam.errors import StreamcamError
from streamcam.models.base import ModelSpec


def class_index(name: str, classes: Sequence[str], *, of: str) -> int:
    """The class of that very name; where there is none, the one that differs by case alone.

    Args:
        name: as it was written.
        classes: the model's.
        of: what the message calls the model.

    Raises:
        StreamcamError: there is no such class, or several differ by case alone.
    """
    if name in classes:
        return classes.index(name)
    alike = [i for i, own in enumerate(classes) if own.casefold() == name.casefold()]
    if len(alike) > 1:
        raise StreamcamError(
            f"{of} has {' and '.join(repr(classes[i]) for i in alike)}: write one of them, not {name!r}"
        )
    if not alike:
        raise StreamcamError(f"{of} has no class {name!r} ({_hint(name, classes)})")
    return alike[0]


def split_names(text: str, classes: Sequence[str]) -> list[str]:
    """Names that are separated by commas; a comma within the name of a class separates nothing.

    >>> split_names("nod, wave, slowly", ["nod", "wave", "wave, slowly"])
    ['nod', 'wave, slowly']
    """
    known = {name.casefold() for name in classes}
    longest = 1 + max(name.count(",") for name in classes)
    names, parts = [], text.split(",")
    while parts:
        joined = [",".join(parts[:count]).strip() for count in range(min(longest, len(parts)), 0, -1)]
        name = next((name for name in joined if name.casefold() in known), joined[-1])
        names.append(name)
        parts = parts[len(joined) - joined.index(name) :]
    return [name for name in names if name]


def _hint(name: str, classes: Sequence[str]) -> str:
    spelt = {own.casefold(): own for own in reversed(classes)}
    close = get_close_matches(name.casefold(), spelt, n=3)
    return f"did you mean {' or '.join(spelt[key] for key in close)}?" if close else f"it has {len(classes)} others"


def find_classes(spec: ModelSpec, names: str | Sequence[str] | None) -> list[int] | None:
    """Class names → their indices: spelt exactly or, where nothing else is meant, in any case.

    Args:
        spec: the model's.
        names: a text, which may hold several, separated by commas; or a list, in which each is one name.

    Raises:
        StreamcamError: the model has no such class.
    """
    if names is None:
        return None
    given = split_names(names, spec.classes) if isinstance(names, str) else names
    if isinstance(names, str) and not given:
        raise StreamcamError(f"{names!r} names no class: leave it out, or name one of {spec.name}'s")
    return list(dict.fromkeys(class_index(name, spec.classes, of=spec.name) for name in given))
