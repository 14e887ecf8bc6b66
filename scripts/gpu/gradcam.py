"""Grad-CAM for each frame on the same GPU, and what streamcam takes for one: r3d_18, windows of 16 frames, hop 1.

The package `grad-cam` is held against where it is installed; the same loop is written out here with hooks in any case.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from scripts.benchmarks.common import not_run, random_r3d, spread, table, those_that_work
from scripts.gpu.common import DeviceTurn, GpuPlan, model_of
from scripts.gpu.streams import together
from streamcam.bench.engines import EngineTurn
from streamcam.bench.measure import Spread, Turn
from streamcam.engines.backends import make_engine
from streamcam.engines.stream_engine import StreamEngine

PACKAGE, HOOKS = "grad-cam", "Grad-CAM by hooks"
PRECISIONS = ("fp32", "bf16")
BATCH, CAMERAS = 16, 64


def measure(plan: GpuPlan) -> Iterator[dict[str, Any]]:
    """Milliseconds a frame of each: one camera, then many."""
    torch.backends.cudnn.benchmark = True  # the best kernels for them as well
    figures: dict[str, Any] = {"ms": {}, "not_run": {}}
    for precision in plan.sized(PRECISIONS, ("fp32",)):
        builders = methods(plan, precision)
        turns, absent = those_that_work(builders, plan.say)
        figures["not_run"] |= absent
        if turns:
            taken = plan.alternate_for(turns, 3.0)
            figures["ms"] |= {name: asdict(Spread.of(values)) for name, values in taken.items()}
        yield figures


def methods(plan: GpuPlan, precision: str) -> dict[str, Callable[[], Turn]]:
    """What takes part in one precision."""
    many, batch = (2, 2) if plan.quick else (CAMERAS, BATCH)
    few: dict[str, Callable[[], Turn]] = {
        f"{PACKAGE}, {precision}": lambda: peer(plan, precision, package, 1),
        f"{HOOKS}, {precision}": lambda: peer(plan, precision, ByHooks, 1),
        f"streamcam, `stream`, {precision}, {many} cameras": lambda: together(engine(plan, precision), plan, many),
    }
    more: dict[str, Callable[[], Turn]] = {
        f"{HOOKS}, {precision}, {batch} windows at once": lambda: peer(plan, precision, ByHooks, batch),
        f"streamcam, `stream`, {precision}": lambda: EngineTurn(engine(plan, precision)),
    }
    return few if plan.quick else few | more


def engine(plan: GpuPlan, precision: str) -> StreamEngine:
    """Ours."""
    made = make_engine(model_of("r3d_18", plan), name="stream", device=str(plan.device), precision=precision, top_k=1)
    assert isinstance(made, StreamEngine)
    return made


Explain = Callable[[Tensor], object]
"""A normalised batch, float [N,3,L,h,w] on the device → heat of the likeliest class, on the host."""


def peer(plan: GpuPlan, precision: str, build: Callable[[nn.Module], Explain], batch: int) -> Turn:
    """Windows from the host's memory to heat there, as often as frames come."""
    model = model_of("r3d_18", plan).to(plan.device)
    explain, shape = build(random_r3d().to(plan.device)), model.spec.clip_format
    frames = torch.randint(0, 256, (batch, shape.length, 3, *shape.crop), dtype=torch.uint8)

    def precise() -> AbstractContextManager[object]:
        return torch.autocast(plan.device.type, torch.bfloat16) if precision == "bf16" else nullcontext()

    def work() -> None:
        x = model.normalise(frames.to(plan.device))
        with precise():
            explain(x)

    return DeviceTurn(plan.device, work, per=batch)


def package(network: nn.Module) -> Explain:
    """As its documentation has it."""
    from pytorch_grad_cam import GradCAM

    cam = GradCAM(network, [network.layer4])
    return lambda x: cam(x, None)


class ByHooks:
    """What the package does, without it: forward, backward from the likeliest class, weights, sum, resizing."""

    def __init__(self, network: nn.Module) -> None:
        self._network, self._maps = network, torch.empty(0)
        layer = network.layer4
        assert isinstance(layer, nn.Module)
        layer.register_forward_hook(self._keep)

    def _keep(self, _layer: nn.Module, _inputs: object, maps: Tensor) -> None:
        maps.retain_grad()
        self._maps = maps

    def __call__(self, x: Tensor) -> Tensor:
        """Float [N,3,L,h,w] → heat 0–1, float32 [N,L,h,w], on the host."""
        self._network.zero_grad()
        logits = self._network(x)
        logits.amax(1).sum().backward()
        maps, gradient = self._maps.detach().float(), self._maps.grad
        assert gradient is not None
        heat = (gradient.float().mean((2, 3, 4), keepdim=True) * maps).sum(1, keepdim=True).relu()
        heat = interpolate(heat, x.shape[2:], mode="trilinear")[:, 0]
        low, high = heat.amin((1, 2, 3), keepdim=True), heat.amax((1, 2, 3), keepdim=True)
        return ((heat - low) / (high - low + 1e-7)).cpu()


def markdown(figures: dict[str, Any]) -> str:
    """As a table, ratios by the Grad-CAM that there is in the same precision."""
    rows = []
    for name, ms in figures["ms"].items():
        times = times_as_fast(figures, name)
        rows.append([name, spread(ms, ".3f", " ms"), "" if times is None else f"{times:.1f}"])
    columns = ("r3d_18, L = 16, every frame explained", "a frame", "Grad-CAM's time over it")
    return table(columns, rows + not_run(figures["not_run"], 3))


def times_as_fast(figures: dict[str, Any], name: str) -> float | None:
    """How many times as long Grad-CAM takes in the same precision: the package, or else the loop by hooks."""
    precision = next((p for p in PRECISIONS if p in name.split(", ")), "")
    for base in (f"{PACKAGE}, {precision}", f"{HOOKS}, {precision}"):
        if base in figures["ms"]:
            return float(figures["ms"][base]["median"] / figures["ms"][name]["median"])
    return None
