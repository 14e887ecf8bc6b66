"""Commands for events: events list, show, keep, export, prune and rebuild for those that were saved, and events try."""

import sys
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamcam.cli.moments import read_moment
from streamcam.errors import StreamcamError

if TYPE_CHECKING:  # the help does not wait for SQLite
    from streamcam.events.store.filters import Filters

app = typer.Typer(help="Events: rules to try, and those that were saved.", no_args_is_help=True)

DEFAULT_ROWS = 50
"""Rows of a table, without --limit."""

_MOMENT = "2026-11-30, 2026-11-30T14:05, 14:05 for today, or 2h or 3d for ago"
Folder = Annotated[Path, typer.Argument(help="the folder of `event_files`", show_default=False)]
Rule = Annotated[str | None, typer.Option(help="only those of this rule")]
Source = Annotated[str | None, typer.Option(help="only those of this source")]
Zone = Annotated[str | None, typer.Option(help="only those in this zone")]
Label = Annotated[str | None, typer.Option("--class", help="only those whose strongest class is this one")]
Since = Annotated[str | None, typer.Option(help=f"only those that began then or later: {_MOMENT}")]
Until = Annotated[str | None, typer.Option(help="only those that began before then")]
MinScore = Annotated[float | None, typer.Option(min=0, max=1, help="only those whose peak is at least this")]
Kept = Annotated[bool, typer.Option("--kept", help="only those that are kept")]
Limit = Annotated[int | None, typer.Option(min=1, help="the newest so many", show_default=False)]


@app.callback()
def _events() -> None:
    """Events: rules to try, and those that were saved."""


@app.command("list")
def list_events(
    folder: Folder,
    rule: Rule = None,
    source: Source = None,
    zone: Zone = None,
    label: Label = None,
    since: Since = None,
    until: Until = None,
    min_score: MinScore = None,
    kept: Kept = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help=f"the newest so many (default: {DEFAULT_ROWS} in a table, else all)")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print a JSON array; times in UTC")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="print CSV; times in UTC")] = False,
) -> None:
    """List events, the newest first. A table has this machine's local time."""
    from streamcam.cli.output.events import print_csv, print_json, print_table
    from streamcam.events.store.event_store import EventStore

    if as_json and as_csv:
        raise StreamcamError("give either --json or --csv")
    filters = _filters(rule, source, zone, label, since, until, min_score, kept)
    with EventStore(folder, create=False) as store:
        if as_json or as_csv:
            (print_json if as_json else print_csv)(store.find(limit=limit, **filters))
        else:
            print_table(store.find(limit=limit or DEFAULT_ROWS, **filters), total=store.count(**filters))


@app.command()
def show(
    folder: Folder,
    event: Annotated[str, typer.Argument(help="its id, or the beginning of it", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON; times in UTC")] = False,
) -> None:
    """Show all that is known of an event, and its files."""
    from streamcam.cli.output.events import print_event, print_one_json
    from streamcam.events.store.event_store import EventStore

    with EventStore(folder, create=False) as store:
        stored = store.get(event)
    if as_json:
        print_one_json(stored)
    else:
        print_event(stored, folder)


@app.command()
def keep(
    folder: Folder,
    events: Annotated[list[str], typer.Argument(metavar="ID…", help="ids, or their beginnings", show_default=False)],
    undo: Annotated[bool, typer.Option("--undo", help="keep them no longer")] = False,
) -> None:
    """Keep events: they are never removed to make room."""
    from streamcam.events.store.event_store import EventStore

    with EventStore(folder, create=False) as store:
        for event_id in [store.get(prefix).event.id for prefix in events]:  # all are there, or none is marked
            store.keep(event_id, not undo)
            print(f"{event_id}  {'is kept no longer' if undo else 'is kept'}")


@app.command()
def export(
    folder: Folder,
    events: Annotated[
        list[str] | None, typer.Argument(metavar="ID…", help="ids, or their beginnings; or give filters")
    ] = None,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="a .zip file to write, or a new folder", show_default=False)
    ] = ...,  # type: ignore[assignment]
    rule: Rule = None,
    source: Source = None,
    zone: Zone = None,
    label: Label = None,
    since: Since = None,
    until: Until = None,
    min_score: MinScore = None,
    kept: Kept = False,
    limit: Limit = None,
) -> None:
    """Copy events with their files, and a table of them as events.csv."""
    from streamcam.cli.output.events import print_exported
    from streamcam.events.store.event_store import EventStore
    from streamcam.events.store.export import export as export_to

    filters = _filters(rule, source, zone, label, since, until, min_score, kept)
    if bool(events) == bool(filters or limit):
        raise StreamcamError("which events: give either their ids, or filters such as --since 1d")
    with EventStore(folder, create=False) as store:
        found = [store.get(prefix) for prefix in events] if events else store.find(limit=limit, **filters)
        if not found:
            raise StreamcamError("no event passes these filters: `streamcam events list` shows what there is")
        export_to(list({stored.event.id: stored for stored in found}.values()), folder, out)
    print_exported(found, out)


@app.command()
def prune(
    folder: Folder,
    days: Annotated[float | None, typer.Option(min=0, help="remove events older than this")] = None,
    max_gb: Annotated[
        float | None, typer.Option(min=0, help="remove the oldest until the others take no more than this")
    ] = None,
    free_gb: Annotated[
        float | None, typer.Option(min=0, help="remove the oldest until the disk has so much left")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be removed")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask; without a terminal it never asks")] = False,
) -> None:
    """Remove events, the oldest first, until these limits are met. Kept ones stay."""
    from streamcam.cli.output.events import print_plan, print_removed
    from streamcam.events.store.event_store import EventStore
    from streamcam.events.store.retention import GB, Limits, Retention, open_to_remove

    if days is None and max_gb is None and free_gb is None:
        raise StreamcamError("give a limit: --days, --max-gb or --free-gb")
    max_bytes, free_bytes = (None if limit is None else limit * GB for limit in (max_gb, free_gb))
    limits = Limits(days=days, max_bytes=max_bytes, free_bytes=free_bytes)
    open_store = open_to_remove if free_gb and not dry_run else EventStore
    with open_store(folder, create=False) as store:
        retention = Retention(store, limits)
        plan = retention.plan()
        asks = bool(plan.remove) and not yes and sys.stdin.isatty()
        if dry_run or asks:
            print_plan(plan)
        if dry_run:
            return
        if asks:
            typer.confirm("Remove them?", abort=True)
        print_removed(retention.apply(plan))
        if retention.failures:
            raise StreamcamError(f"{retention.failures} of {len(plan.remove)} events could not be removed")


@app.command()
def rebuild(folder: Folder) -> None:
    """Make the index of a folder anew from the events' files."""
    from streamcam.events.store.event_store import rebuild_index

    count = rebuild_index(folder)
    print(f"the index has {count} event{'' if count == 1 else 's'}")


@app.command("try")
def try_rules(
    file: Annotated[str, typer.Argument(help="recorded footage, or sample (the clip that comes along)")],
    config: Annotated[Path, typer.Option(help="a YAML file with zones and events, as for run")],
    source: Annotated[
        str | None, typer.Option(help="which of the file's sources the footage stands for, if there are several")
    ] = None,
    chart: Annotated[
        Path | None, typer.Option(help="draw the scores and events to this .png", show_default=False)
    ] = None,
) -> None:
    """Try rules on recorded footage: each rule's score over time, and its events. Nothing is published or kept."""
    from streamcam.cli.options import use_one_opencv_thread
    from streamcam.cli.output.progress import Progress
    from streamcam.config.load import make_config
    from streamcam.sources.address import parse_address

    parse_address(file)  # report a mistake at once: the imports below take seconds
    checked = make_config({}, file=config)
    if chart is not None:
        _require_chart(chart)
    from streamcam.cli.output.trial import print_trial
    from streamcam.runtime.trial import try_rules as run_trial

    use_one_opencv_thread()
    with Progress("try", unit="s") as progress:
        trial = run_trial(checked, file, source=source, show=progress.show)
    if chart is not None:
        from streamcam.events.chart import draw_chart
        from streamcam.files import complete_or_absent

        with complete_or_absent(chart) as partial:
            partial.write_bytes(draw_chart(trial.rules, trial.scores, trial.events, Path(file).name))
    print_trial(trial, chart)


def _require_chart(path: Path) -> None:
    """Check before a long run that a chart can be drawn."""
    from streamcam.sinks.file import require_folder

    if find_spec("matplotlib") is None:
        raise StreamcamError("charts need the package matplotlib: pip install 'streamcam[train]'")
    if path.suffix.lower() != ".png":
        raise StreamcamError(f"cannot write {path}: give a name that ends in .png")
    require_folder(path)


def _filters(
    rule: str | None,
    source: str | None,
    zone: str | None,
    label: str | None,
    since: str | None,
    until: str | None,
    min_score: float | None,
    kept: bool,
) -> "Filters":
    """Return the filters that were given."""
    now = datetime.now().astimezone()
    filters: Filters = {"rule": rule, "source": source, "zone": zone, "label": label, "min_score": min_score}
    filters["since"], filters["until"] = (read_moment(text, now=now) if text else None for text in (since, until))
    filters["kept"] = True if kept else None
    return {name: value for name, value in filters.items() if value is not None}  # type: ignore[return-value]
