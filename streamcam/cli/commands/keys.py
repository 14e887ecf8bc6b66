"""Commands for keys of encrypted connections: keys new."""

from pathlib import Path
from typing import Annotated

import typer

from streamcam.errors import one_line
from streamcam.transport.keys import CLIENTS, PUBLIC, SERVER, default_folder, make_keys

app = typer.Typer(help="Keys, to watch from other machines.", no_args_is_help=True)


@app.callback()
def _keys() -> None:
    """Keys, to watch from other machines."""


@app.command()
def new(
    name: Annotated[str, typer.Argument(help=f"{SERVER} for who publishes; any other name for who watches")],
    keys: Annotated[
        Path | None, typer.Option(help="the folder to write to (default: ~/.config/streamcam/keys)", show_default=False)
    ] = None,
) -> None:
    """Make a pair of keys: NAME.public, which you copy to others, and NAME.secret, which stays on this machine."""
    folder = default_folder() if keys is None else keys.expanduser()
    public, secret = (one_line(str(path)) for path in make_keys(name, folder))
    shown = one_line(str(folder))
    print(f"{secret}  stays on this machine")
    if name == SERVER:
        print(f"{public}  copy it to the keys folder of everybody who is to watch")
        print(f"{shown}/{CLIENTS}  copy the {PUBLIC} file of everybody who is to watch to here, then:")
        print(f"streamcam run SOURCE --bind 'tcp://*:5555' --keys {shown}")
    else:
        print(f"{public}  copy it to the folder {CLIENTS} of the publisher's keys")
        print(f"{shown}/{SERVER}{PUBLIC}  copy the publisher's {SERVER}{PUBLIC} to here, then:")
        print(f"streamcam view tcp://HOST:5555 --keys {shown}")
