"""The command line's entry point: commands, errors and exit codes."""

import signal
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from streamcam.cli.commands import about, bench, events, keys, live, notify, recorded, training, web
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
    "web": web.web,
    "notify": notify.notify,
    "explain": recorded.explain,
    "image": recorded.image,
    "eval": recorded.evaluate,
    "record": training.record,
    "check": training.check,
    "train": training.train,
    "quantize": training.quantize,
    "export": training.export,
    "models": about.models,
    "doctor": about.doctor,
    "bench": bench.bench,
}
OF_TORCH = ("torch", "torchvision", "safetensors")
"""Packages of the extra `torch`, which what watches and shows does without."""

# A command imports what it runs when it is called. So the help, and errors in options, do not wait for torch.
for name, command in COMMANDS.items():
    app.command(name)(command)
app.add_typer(events.app, name="events")
app.add_typer(keys.app, name="keys")


def _print_version(requested: bool) -> None:
    if requested:
        print(f"streamcam {version('streamcam')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="say which version this is")
    ] = False,
) -> None:
    """Declare the options that stand before a command."""


def main() -> NoReturn:
    """Run a command, and exit.

    Errors are one line on standard error. The exit code is 2 for what the user can mend, and 70 for what a new process
    can. Ctrl-C gives 130, and a closed pipe 141, as in a shell.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: files are completed
    guard_standard_streams()
    hide_passwords()  # before the imports of a command, which take seconds
    try:
        code = app(standalone_mode=False)  # None from a command, or 130 after Ctrl-C
        sys.stdout.flush()
    except (StuckError, LostError) as e:
        print(f"streamcam: {e}", file=sys.stderr)
        exit_process(RESTART_CODE)
    except (StreamcamError, TyperException) as e:
        text = printable(e.format_message() if isinstance(e, TyperException) else str(e))
        if not text:
            exit_process(0)  # typer has printed the help
        print(f"streamcam: {' '.join(text.split())}", file=sys.stderr)
        exit_process(2)
    except ModuleNotFoundError as e:
        if e.name not in OF_TORCH:
            raise
        print("streamcam: this needs PyTorch: pip install 'streamcam[torch]'", file=sys.stderr)
        exit_process(2)
    except UnreadError:
        exit_process(128 + signal.SIGPIPE)
    except (KeyboardInterrupt, typer.Abort):
        exit_process(130)
    exit_process(code or 0)
