"""Measure streamcam on a GPU in less than eight minutes, and write docs/gpu.md, gpu.json and gpu.png.

    scripts/gpu_check                                            on cuda:0
    scripts/gpu_check --device cpu --quick --out FOLDER          a round of each point, to see that all works

The tests that need a GPU run first, then the points of scripts/gpu/, each in a process of its own. A point that fails
or takes too long keeps what it has measured until then. The exit code is 1 if a test or a point failed. A target that
is missed is only reported.
"""

import argparse
import importlib
import importlib.util
import multiprocessing
import platform
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from scripts.benchmarks import pages
from scripts.gpu import targets
from scripts.paths import DOCS
from streamcam.files import write_json

PAGE = DOCS / "gpu.md"
POINTS = {
    "cuda_tests": 100.0,
    "precision": 15.0,
    "throughput": 68.0,
    "streams": 52.0,
    "heat": 12.0,
    "overlap": 20.0,
    "pictures": 15.0,
    "cameras": 58.0,
    "gradcam": 26.0,
    "memory": 55.0,
    "compiled": 44.0,
}
"""And how many seconds each may take."""

LIMIT_S = 465.0
"""What all may take together; those that come last have what is left."""

QUICK = 0.02
"""Of the usual time."""

LATER_S = 15.0
"""So much later than it should have ended, a point is ended."""

NEEDED = ("torch", "torchvision", "numpy", "cv2", "safetensors")
OPTIONAL = {"pytest": "the tests", "matplotlib": "the chart", "pytorch_grad_cam": "the package grad-cam as a peer"}


def main() -> int:
    """Measure, and write what was measured after each point, so that nothing is lost."""
    arguments = parse()
    missing = [name for name in NEEDED if not there(name)]
    if missing:
        print(f"nothing can be measured without {', '.join(missing)}", file=sys.stderr)
        return 2
    from streamcam.engines.device.hardware import pick_device
    from streamcam.errors import StreamcamError

    try:
        arguments.device = str(pick_device(arguments.device))
    except StreamcamError as e:
        print(f"{e}; to see that all works: --device cpu --quick", file=sys.stderr)
        return 2
    results: dict[str, Any] = {"machine": machine(arguments.device), "points": {}}
    for name, reason in OPTIONAL.items():
        if not there(name):
            say(f"{name} is not installed: {reason} will be left out")
    context = multiprocessing.get_context("forkserver")
    if arguments.device == "cpu":  # CUDA does not survive a fork, and who knows which import has a look at it
        context.set_forkserver_preload(["scripts.gpu.common", "scripts.gpu.profiled"])
    end_s = time.monotonic() + LIMIT_S
    for name in arguments.only:
        left_s = min(POINTS[name] * (QUICK if arguments.quick else 1.0), end_s - time.monotonic())
        results["points"][name] = measured(context, name, arguments, left_s)
        print(f"\n## {name}\n\n{as_markdown(name, results['points'][name])}", flush=True)
        write(results, arguments.out)
    print(f"\n{targets.table_of(reached(results))}", flush=True)
    return int(any("failed" in figures for figures in results["points"].values()))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", type=pages.some_of(list(POINTS)), default=list(POINTS), metavar="NAME[,NAME…]", help=", ".join(POINTS)
    )
    parser.add_argument("--device", default="cuda:0", help="cuda:N; or cpu, to see that all works")
    parser.add_argument("--quick", action="store_true", help="a round of each, as small as can be: does it work?")
    parser.add_argument("--out", type=Path, default=PAGE.parent, metavar="FOLDER", help="where to write (docs)")
    parser.add_argument("--trace", metavar="FOLDER", help="keep the timelines, for chrome://tracing or Perfetto")
    return parser.parse_args()


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def machine(device: str) -> dict[str, Any]:
    """What it is measured on, and with; `gpu` is None for a processor."""
    import torch

    versions: dict[str, Any] = {"python": platform.python_version()}
    for name in ("torch", "torchvision", "triton", "grad-cam"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    versions |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    gpu = memory_gb = None
    if device != "cpu":
        properties = torch.cuda.get_device_properties(device)
        gpu, memory_gb = properties.name, round(properties.total_memory / 2**30)
    return {"device": device, "gpu": gpu, "memory_gb": memory_gb, "versions": versions}


def measured(context: Any, name: str, arguments: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """A point's figures, from a process of its own; where it fails, those that it had by then, and why."""
    if seconds <= 0:
        return {"absent": "no time was left"}
    begin_s = time.monotonic()
    receive, send = context.Pipe(duplex=False)
    options = {"device": arguments.device, "quick": arguments.quick, "trace": arguments.trace}
    process = context.Process(target=one_point, args=(send, name, seconds, options), daemon=True)
    process.start()
    send.close()
    figures: dict[str, Any] = {}
    limit_s = 600.0 if arguments.quick else seconds + LATER_S
    try:
        while True:
            if not receive.poll(max(0.0, begin_s + limit_s - time.monotonic())):
                figures |= {"ended": f"it was ended after {limit_s:.0f} s"}
                break
            figures = receive.recv()
    except EOFError:
        process.join(LATER_S)
        if process.exitcode:
            figures |= {"failed": f"its process ended with exit code {process.exitcode}"}
    finally:
        process.kill()
        process.join()
    figures["seconds"] = round(time.monotonic() - begin_s, 1)
    say(f"{name}: {figures['seconds']:.0f} s")
    return figures


def one_point(send: Connection, name: str, seconds: float, options: dict[str, Any]) -> None:
    """Measure a point, in this process, and send what there is each time that there is more."""
    figures: dict[str, Any] = {}
    try:
        import torch

        from scripts.gpu.common import GpuPlan, told

        device = torch.device(options.pop("device"))
        if device.type == "cuda":
            torch.cuda.set_device(device)
        plan = GpuPlan(seconds, 1 if options["quick"] else 3, say, device=device, **options)
        for figures in importlib.import_module(f"scripts.gpu.{name}").measure(plan):
            send.send(figures)
    except ModuleNotFoundError as e:
        send.send(figures | {"absent": f"{e.name} is not installed"})
    except Exception as e:  # the other points are measured all the same
        send.send(figures | {"failed": told(e)})


def as_markdown(name: str, figures: Mapping[str, Any]) -> str:
    """A point's tables, as far as it came, and why it came no further."""
    parts = [f"{word}: {figures[key]}" for key, word in WHY.items() if key in figures]
    try:
        parts.insert(0, importlib.import_module(f"scripts.gpu.{name}").markdown(figures))
    except Exception as e:  # mostly, it did not come so far; in any case the other points go on
        parts = parts or [f"no table: {type(e).__name__}: {e}"]
    return "\n\n".join(parts)


def reached(results: Mapping[str, Any]) -> Mapping[str, Any]:
    """The points that targets are about: none of what was only tried out on a CPU."""
    return results["points"] if results["machine"]["gpu"] else {}


WHY = {"absent": "not run", "ended": "incomplete", "failed": "failed"}


def write(results: dict[str, Any], folder: Path) -> None:
    """The page with its tables filled in, all figures, and a chart where matplotlib is there."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "gpu.json", results)
    parts = {name: as_markdown(name, figures) for name, figures in results["points"].items()}
    where = results["machine"]
    versions = ", ".join(f"{name} {v}" for name, v in where["versions"].items() if v)
    memory = f" ({where['memory_gb']} GiB)" if where["memory_gb"] else ""
    parts["machine"] = f"{where['gpu'] or where['device']}{memory}; {versions}."
    parts["targets"] = targets.table_of(reached(results))
    (folder / "gpu.md").write_text(pages.filled(PAGE.read_text(), parts))
    if there("matplotlib"):
        from scripts.gpu.chart import draw

        try:
            draw(results, folder / "gpu.png")
        except Exception as e:  # tables say the same
            say(f"no chart: {type(e).__name__}: {e}")


if __name__ == "__main__":
    sys.exit(main())
