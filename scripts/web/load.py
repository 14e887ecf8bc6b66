"""What does `streamcam web` cost with 100 browsers, of which some are slow and some have stopped reading?

    python -m scripts.web.load [--clients 100] [--slow 10] [--stopped 5] [--seconds 20] [--json FILE] [--markdown FILE]

Each wants frames and heat of four cameras (640×480, 15 fps) and acknowledges them as the page does. A slow one
acknowledges after a second. One that has stopped reads nothing, and acknowledges all the same, which is the worst that
it can do. All run on this machine: with a hundred, the clients take as much of it as the server.

The same server sees, one after another: one client; only such as have stopped; and all of them.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scripts.benchmarks.common import table
from scripts.web.running import Cores, Memory, cameras, memory, server, started
from streamcam.files import write_json

SETTLE_S = 3.0


def main() -> None:
    """Measure, and write what was asked for."""
    options = parse()
    phases = {
        "one": {"fast": 1},
        "stopped": {"stopped": max(1, options.stopped)},  # before the many, whose memory it would find there
        "all": {
            "fast": options.clients - options.slow - options.stopped,
            "slow": options.slow,
            "stopped": options.stopped,
        },
    }
    with (
        cameras("--cameras", str(options.cameras), "--fps", str(options.fps)) as (publisher, endpoint),
        server(endpoint) as (web, page),
    ):
        time.sleep(SETTLE_S)
        phases_seen = {name: phase(name, clients, options, publisher, web, page) for name, clients in phases.items()}
    asked = {name: value for name, value in vars(options).items() if name not in ("json", "markdown")}
    figures = {"options": asked, "phases": phases_seen}
    print(markdown(figures))
    if options.json:
        write_json(options.json, figures)
    if options.markdown:
        options.markdown.write_text(markdown(figures) + "\n")


def parse() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=100, help="in all")
    parser.add_argument("--slow", type=int, default=10, help="of these, so many acknowledge late")
    parser.add_argument("--stopped", type=int, default=5, help="and so many stop reading")
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--fps", type=float, default=15.0, help="of each camera")
    parser.add_argument("--kinds", nargs="+", default=["frame", "result"], help="of messages")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each phase")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    options = parser.parse_args()
    if options.clients <= options.slow + options.stopped:
        parser.error("give more clients than slow and stopped ones")
    return options


def phase(
    name: str,
    clients: dict[str, int],
    options: argparse.Namespace,
    publisher: subprocess.Popen[str],
    web: subprocess.Popen[str],
    page: str,
) -> dict[str, Any]:
    """Let these clients watch for a while."""
    print(f"{name}: {clients}", file=sys.stderr, flush=True)
    before = memory(web.pid)
    arguments = [page, "--cameras", str(options.cameras), "--seconds", str(options.seconds), "--kinds", *options.kinds]
    for kind, count in clients.items():
        arguments += [f"--{kind}", str(count)]
    with started("scripts.web.load_clients", *arguments, ready="^(measuring)$") as (process, _):
        taken = {part: Cores([p.pid]) for part, p in (("server", web), ("publisher", publisher), ("clients", process))}
        during = most_memory(web.pid, options.seconds - 1)
        cores = {part: core.taken() for part, core in taken.items()}
        assert process.stdout is not None
        came = json.loads(process.stdout.read())
    time.sleep(SETTLE_S)
    growth_mb = (during.rss_mb - before.rss_mb) / sum(clients.values())
    return {
        "clients": clients,
        "cores": cores,
        "memory": {"before": asdict(before), "during": asdict(during), "after": asdict(memory(web.pid))},
        "growth_mb_per_client": round(growth_mb, 2),
        **came,
    }


def most_memory(pid: int, seconds: float) -> Memory:
    """Return the most that a process takes within a while."""
    end_s, most = time.monotonic() + seconds, memory(pid)
    while time.monotonic() < end_s:
        time.sleep(0.5)
        most = max(most, memory(pid), key=lambda m: m.rss_mb)
    return most


def markdown(figures: dict[str, Any]) -> str:
    """Two tables: what clients got, and what it cost."""
    rows, phases = [], figures["phases"]
    for name, figure in phases.items():
        for group in ("fast", "slow"):
            for kind, of_kind in ((figure[group] or {}).get("kinds") or {}).items():
                rows.append(
                    [
                        f"{name}: {figure[group]['clients']} {group}, {kind}",
                        f"{of_kind['got_share']:.1%}",
                        f"{of_kind['got_share_least']:.1%}",
                        f"{of_kind['age_p50_ms']:.1f} / {of_kind['age_p95_ms']:.1f} ms",
                    ]
                )
    got = table(("clients, kind", "received of those sent", "the worst of all", "age p50 / p95"), rows)
    rows = [
        [
            f"{name}: {', '.join(f'{count} {kind}' for kind, count in figure['clients'].items())}",
            *(f"{figure['cores'][part]:.2f}" for part in ("server", "publisher", "clients")),
            *(
                f"{figure['memory'][when]['rss_mb']:.0f} ({figure['memory'][when]['pss_mb']:.0f}) MB"
                for when in ("before", "during", "after")
            ),
            f"{figure['growth_mb_per_client']:.2f} MB",
        ]
        for name, figure in phases.items()
    ]
    columns = ("clients", "server, cores", "publisher", "clients", "RSS (PSS) before", "with them", "after", "for each")
    return f"{got}\n\n{table(columns, rows)}"


if __name__ == "__main__":
    main()
