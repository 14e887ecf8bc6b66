"""The command line: options → config → the piece that does it."""

import signal
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from streamcam.cli.commands import about, bench, keys, live, recorded, training
from streamcam.cli.exit_process import RESTART_CODE, exit_process
from streamcam.cli.process_title import hide_passwords
from streamcam.cli.standard_streams import UnreadError, guard_standard_streams
from streamcam.errors import LostError, StreamcamError, StuckError, printable

app = typer.Typer(
    help="Live video in; a network's verdict, and where in space and time it sees it, out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
COMMANDS: dict[str, Callable[..., None]] = {
    "run": live.run,
    "view": live.view,
    "explain": recorded.explain,
    "image": recorded.image,
    "eval": recorded.evaluate,
    "record": training.record,
    "train": training.train,
    "quantize": training.quantize,
    "models": about.models,
    "doctor": about.doctor,
    "bench": bench.bench,
}
for name, command in COMMANDS.items():
    app.command(name)(command)
app.add_typer(keys.app, name="keys")


def _tell(asked: bool) -> None:
    if asked:
        print(f"streamcam {version('streamcam')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_tell, is_eager=True, help="say which version this is")
    ] = False,
) -> None:
    """What holds for all commands."""


def main() -> NoReturn:
    """Run a command; what the user can mend is said in one line, with exit code 2, what a new process can with 70."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    guard_standard_streams()
    hide_passwords()
    try:
        code = app(standalone_mode=False)  # a command gives None; Ctrl-C comes out as 130
        sys.stdout.flush()
    except (StuckError, LostError) as e:
        print(f"streamcam: {e}", file=sys.stderr)
        exit_process(RESTART_CODE)
    except (StreamcamError, TyperException) as e:
        text = printable(e.format_message() if isinstance(e, TyperException) else str(e))
        if not text:
            exit_process(0)  # the help has been shown
        print(f"streamcam: {' '.join(text.split())}", file=sys.stderr)
        exit_process(2)
    except UnreadError:
        exit_process(128 + signal.SIGPIPE)
    except (KeyboardInterrupt, typer.Abort):
        exit_process(130)
    exit_process(code or 0)
