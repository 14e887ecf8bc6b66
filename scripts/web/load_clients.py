"""Many browsers at once, in one process: scripts/web/load.py starts it.

    python -m scripts.web.load_clients PAGE --fast 85 --slow 10 --stopped 5 [--cameras 4] [--seconds 20]

It says `measuring` once all have been connected and warmed up, and a line of JSON at its end.
"""

import argparse
import asyncio
import json
from contextlib import AsyncExitStack, suppress

import numpy as np
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from scripts.web.client import Client, connected

WARM_UP_S = 3.0
SLOW_S = 1.0
"""How late a slow client acknowledges."""
PERIOD_S = 1 / 15


async def main() -> None:
    """Run them, and say what came."""
    options = parse()
    names = [f"cam{number + 1}" for number in range(options.cameras)]
    async with AsyncExitStack() as stack:
        fast = [Client(await stack.enter_async_context(connected(options.page))) for _ in range(options.fast)]
        slow = [
            Client(await stack.enter_async_context(connected(options.page)), late_s=SLOW_S) for _ in range(options.slow)
        ]
        stopped = [await stack.enter_async_context(connected(options.page, waiting=1)) for _ in range(options.stopped)]
        tasks = [asyncio.create_task(client.receive()) for client in (*fast, *slow)]
        for client in (*fast, *slow):
            await client.want(names, options.kinds)
        tasks += [asyncio.create_task(ask_on(socket, names, options.kinds)) for socket in stopped]
        await asyncio.sleep(WARM_UP_S)
        for client in (*fast, *slow):
            client.forget()
        print("measuring", flush=True)
        await asyncio.sleep(options.seconds)
        print(json.dumps({"fast": summary(fast), "slow": summary(slow)}), flush=True)
        for task in tasks:
            task.cancel()


def parse() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page")
    for kind in ("fast", "slow", "stopped"):
        parser.add_argument(f"--{kind}", type=int, default=0)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--kinds", nargs="+", default=["frame", "result"])
    parser.add_argument("--seconds", type=float, default=20.0)
    return parser.parse_args()


async def ask_on(socket: ClientConnection, names: list[str], kinds: list[str]) -> None:
    """Read nothing, and acknowledge all the same: the worst that a client can do to the server's memory."""
    with suppress(ConnectionClosed):
        await socket.send(json.dumps({"want": dict.fromkeys(names, kinds)}))
        while True:
            await asyncio.sleep(PERIOD_S)
            await socket.send(json.dumps({"got": [[name, kind] for name in names for kind in kinds]}))


def summary(clients: list[Client]) -> dict[str, object] | None:
    """Of these clients: how much of what was sent came, and how old it was. None without any client."""
    topics = [(kind, topic) for client in clients for (_, kind), topic in client.topics.items() if topic.count > 1]
    if not topics:
        return None
    kinds: dict[str, object] = {}
    for kind in sorted({kind for kind, _ in topics}):
        of_kind = [topic for k, topic in topics if k == kind]
        got = [topic.count / topic.sent for topic in of_kind]
        ages_ms = np.concatenate([topic.ages_ms or [np.nan] for topic in of_kind])
        kinds[kind] = {
            "sent": round(float(np.median([topic.sent for topic in of_kind])), 1),
            "got_share": round(float(np.mean(got)), 4),
            "got_share_least": round(min(got), 4),
            **{f"age_p{p}_ms": round(float(np.percentile(ages_ms, p)), 1) for p in (50, 95)},
        }
    expected = len(clients) * len({key for client in clients for key in client.topics})
    return {"clients": len(clients), "without_any": expected - len(topics), "kinds": kinds}


if __name__ == "__main__":
    asyncio.run(main())
