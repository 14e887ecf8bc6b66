"""Finds the classes that people name, in a model's list of classes."""

from collections.abc import Sequence
from difflib import get_close_matches

from streamcam.errors import StreamcamError
from streamcam.models.spec import ModelSpec


def find_classes(spec: ModelSpec, names: str | Sequence[str] | None) -> list[int] | None:
    """Find the indices of classes by their names; None gives None.

    Args:
        spec: the model's description.
        names: one text with commas between the names, or a list in which each item is one name.

    Returns:
        The indices, without repetitions, in the order of the names.

    Raises:
        StreamcamError: the model has no such class, or several that differ from the name by case only.
    """
    if names is None:
        return None
    listed = split_names(names, spec.classes) if isinstance(names, str) else names
    if isinstance(names, str) and not listed:
        raise StreamcamError(f"{names!r} names no class: leave it out, or name one of {spec.name}'s")
    return list(dict.fromkeys(class_index(name, spec.classes, of=spec.name) for name in listed))


def split_names(text: str, classes: Sequence[str]) -> list[str]:
    """Split names at commas, except commas that are part of a class's name.

    >>> split_names("nod, wave, slowly", ["nod", "wave", "wave, slowly"])
    ['nod', 'wave, slowly']
    """
    known = {name.casefold() for name in classes}
    longest = 1 + max(name.count(",") for name in classes)
    names, parts = [], text.split(",")
    while parts:
        # Join as many parts as make the name of a class, the most first; a part that makes none is a name of its own.
        candidates = [",".join(parts[:count]).strip() for count in range(min(longest, len(parts)), 0, -1)]
        name = next((name for name in candidates if name.casefold() in known), candidates[-1])
        names.append(name)
        parts = parts[len(candidates) - candidates.index(name) :]
    return [name for name in names if name]


def class_index(name: str, classes: Sequence[str], *, of: str) -> int:
    """Find a class by its exact name, or else by a name that differs in case only.

    ImageNet has a dog `Cardigan` and a garment `cardigan`, so the exact name comes first.

    Args:
        name: the class's name, as somebody wrote it.
        classes: the names of all classes.
        of: the model, for error messages.

    Raises:
        StreamcamError: there is no such class, or several that differ from the name by case only.
    """
    if name in classes:
        return classes.index(name)
    alike = [i for i, class_name in enumerate(classes) if class_name.casefold() == name.casefold()]
    if len(alike) > 1:
        raise StreamcamError(
            f"{of} has {' and '.join(repr(classes[i]) for i in alike)}: write one of them, not {name!r}"
        )
    if not alike:
        raise StreamcamError(f"{of} has no class {name!r} ({_suggestion(name, classes)})")
    return alike[0]


def _suggestion(name: str, classes: Sequence[str]) -> str:
    """Suggest up to three classes whose names are close to this one."""
    spelling = {class_name.casefold(): class_name for class_name in reversed(classes)}
    close = get_close_matches(name.casefold(), spelling, n=3)
    return f"did you mean {' or '.join(spelling[key] for key in close)}?" if close else f"it has {len(classes)} others"
