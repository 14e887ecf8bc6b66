"""Each frame once against windows computed anew, and against `continual-inference`: r3d_18, fp32."""

import logging
from dataclasses import asdict
from typing import Any

import torch

from scripts.benchmarks.common import Plan, r3d_model, random_r3d, spread, table, those_that_work
from streamcam.bench.engines import EngineTurn
from streamcam.bench.measure import Spread, Turn, ratios, timed_ms
from streamcam.engines.backends import make_engine
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.streaming.converted import StreamNetwork

SECONDS = 135.0
HOPS = (1, 2, 4, 8)
LENGTHS = (16, 32, 64)
STRIDE = 8
PEER = "continual-inference, `forward_step`"
SAME = 1e-4
"""How far apart the two networks' slices may be, as a share of the largest."""


def measure(plan: Plan) -> dict[str, Any]:
    """Windows of each length, streams of each length and hop; then both ways to stream."""
    against = against_continual(plan)
    return {"windows": against_windows(plan), "continual": against}


def against_windows(plan: Plan) -> list[dict[str, Any]]:
    """Milliseconds a frame by length and hop. A window costs the same at any hop: it comes every `hop` frames."""
    network, turns = random_r3d(), {}
    for length in LENGTHS:
        model = r3d_model(network, length=length)
        engines = {name: make_engine(model, name=name, device="cpu", precision="fp32") for name in ("window", "stream")}
        turns[f"window {length}"] = EngineTurn(engines["window"])
        turns |= {f"stream {length} {hop}": EngineTurn(engines["stream"], hop=hop) for hop in HOPS}
    taken = plan.alternate(turns)
    rows = []
    for length in LENGTHS:
        for hop in HOPS:
            window = [ms / hop for ms in taken[f"window {length}"]]
            stream = taken[f"stream {length} {hop}"]
            both = {"window": asdict(Spread.of(window)), "stream": asdict(Spread.of(stream))}
            rows.append({"length": length, "hop": hop, **both, "ratio": asdict(ratios(window, stream))})
    return rows


def against_continual(plan: Plan) -> dict[str, Any]:
    """The features alone, frame by frame: the same network, once converted by us and once built of their primitives."""
    names = {"streamcam, `push`": our_features, PEER: their_features}
    turns, absent = those_that_work(names, plan.say)
    taken = plan.alternate(turns, share=0.25)
    ms = {name: asdict(Spread.of(values)) for name, values in taken.items()}
    ratio = asdict(ratios(taken[PEER], taken["streamcam, `push`"])) if PEER in taken else None
    return {"ms": ms, "ratio": ratio, "absent": absent}


def markdown(figures: dict[str, Any]) -> str:
    """As two tables."""
    rows = [
        [
            str(row["length"]),
            str(row["hop"]),
            spread(row["window"], unit=" ms"),
            spread(row["stream"], unit=" ms"),
            spread(row["ratio"]),
        ]
        for row in figures["windows"]
    ]
    windows = table(("frames in a window", "hop", "`window`, a frame", "`stream`, a frame", "ratio"), rows)
    continual = figures["continual"]
    rows = [[name, spread(ms, unit=" ms")] for name, ms in continual["ms"].items()]
    rows += [[name, f"not run: {reason}"] for name, reason in continual["absent"].items()]
    peers = table(("the features, frame by frame", "a frame"), rows)
    ratio = f"\n\nratio: {spread(continual['ratio'])}" if continual["ratio"] else ""
    return f"{windows}\n\n{peers}{ratio}"


def video(frames: int) -> torch.Tensor:
    """Float32 [1,3,frames,112,112]."""
    return torch.randn(1, 3, frames, 112, 112, generator=torch.Generator().manual_seed(0))


def our_features() -> Turn:
    """A stride's worth of frames, pushed one by one, with batch norm folded as the engine does it."""
    runner = make_engine(r3d_model(), name="window", device="cpu", precision="fp32").runner
    assert isinstance(runner, TorchRunner)
    network = StreamNetwork(runner.model.features)
    stream = network.start()
    network.push([stream], video(network.span.last + STRIDE))
    frames = video(STRIDE).split(1, dim=2)
    return lambda: timed_ms(lambda: [network.push([stream], frame) for frame in frames], frames=STRIDE)


def their_features() -> Turn:
    """The same frames through their network, once it has been held against torchvision's."""
    logging.getLogger("continual").setLevel(logging.ERROR)
    from scripts.benchmarks.continual_r3d import continual_r3d, slices_of

    network = random_r3d()
    with torch.inference_mode():
        built = continual_r3d(network)
        frames = video(72)[..., ::4, ::4]
        found = slices_of(built, frames)
        expected = network.layer4(network.layer3(network.layer2(network.layer1(network.stem(frames)))))
        error = (found - expected[:, :, : found.shape[2]]).abs().max() / expected.abs().max()
        if error > SAME:
            raise ValueError(f"its slices are not torchvision's: off by {error:.1e} of the largest")
        built.clean_state()
        slices_of(built, video(built.receptive_field // 2 + STRIDE))

    @torch.inference_mode()
    def push() -> None:
        for t in range(STRIDE):
            built.forward_step(frames[:, :, t])

    frames = video(STRIDE)
    return lambda: timed_ms(push, frames=STRIDE)
