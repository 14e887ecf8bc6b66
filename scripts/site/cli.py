"""The reference of the command line, from the typer app: a section for each command, a row for each option."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from scripts.site.tables import row, table
from streamcam.cli.main import app

NAMED_DEFAULT = re.compile(r"\s*\(default: (.+)\)$")
"""How the help text of an option that is a key of the configuration names its default."""

# typer carries its own copy of click, whose classes have no public names: commands and parameters are `Any` here.


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command with its full name, such as `streamcam keys new`."""
    yield from _commands("streamcam", typer.main.get_command(app))


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for part, inner in command.commands.items():
        yield from _commands(f"{name} {part}", inner)


def reference() -> str:
    """Return the sections of all commands, as Markdown."""
    return "\n".join(_section(name, command) for name, command in commands())


def _section(name: str, command: Any) -> str:
    parameters = [parameter for parameter in command.params if not parameter.hidden]
    arguments = [parameter for parameter in parameters if parameter.param_type_name == "argument"]
    options = [parameter for parameter in parameters if parameter.param_type_name == "option"]
    usage = " ".join([name, *(_usage_of(argument) for argument in arguments), *(["[OPTIONS]"] if options else [])])
    parts = [f"## {name}", inspect.cleandoc(command.help or ""), f"```sh\n{usage}\n```"]
    if arguments:
        rows = [row(f"`{_metavar(a)}`", *_meaning(a)) for a in arguments]
        parts.append(table("argument", "meaning", "default", rows=rows))
    if options:
        rows = [row(f"`{', '.join([*o.opts, *o.secondary_opts])}`", *_meaning(o)) for o in options]
        parts.append(table("option", "meaning", "default", rows=rows))
    return "\n\n".join(parts) + "\n"


def _metavar(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _usage_of(argument: Any) -> str:
    return _metavar(argument) if argument.required else f"[{_metavar(argument)}]"


def _meaning(parameter: Any) -> tuple[str, str]:
    """Return the help text and the default, each for a column of its own."""
    text = parameter.help or ""
    if parameter.required:
        return text, "required"
    if named := NAMED_DEFAULT.search(text):
        return text[: named.start()], f"`{named[1]}`"
    shown = parameter.show_default and parameter.default not in (None, False)
    return text, f"`{parameter.default}`" if shown else ""
