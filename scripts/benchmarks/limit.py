"""What a frame costs in each engine, and what share of the machine's limit that is."""

from dataclasses import asdict
from typing import Any

from scripts.benchmarks.common import PRECISIONS, Plan, spread, table
from streamcam.bench.engines import engine_turns
from streamcam.bench.run import engine_costs
from streamcam.models.registry import load_model

SECONDS = 70.0
MODELS = {"motion": None, "imagenet": None, "r3d_18": "none"}
"""Name: weights."""


def measure(plan: Plan) -> dict[str, Any]:
    """For each model and precision: engines and a matrix product, taking turns."""
    rows = []
    cases = [(name, precision) for name in MODELS for precision in PRECISIONS]
    for number, (name, precision) in enumerate(cases):
        model = load_model(name, weights=MODELS[name])
        share = 0.4 * plan.left_s / (len(cases) - number)  # the rest goes into getting ready
        turns = engine_turns(model, device="cpu", precision=precision)
        costs, ratio = engine_costs(model, turns, seconds=share, min_rounds=plan.min_rounds)
        for engine, cost in costs.items():
            rows.append({"model": name, "precision": precision, "engine": engine, **asdict(cost)})
        rows[-1]["ratio"] = asdict(ratio) if ratio else None
    return {"rows": rows}


def markdown(figures: dict[str, Any]) -> str:
    """As a table."""
    rows = []
    for row in figures["rows"]:
        ratio = row.get("ratio")
        speed = row["gflop"] / row["ms"]["median"] * 1e3
        rows.append(
            [
                f"{row['model']}, {row['precision']}, `{row['engine']}`",
                spread(row["ms"], ".1f", " ms"),
                f"{row['gflop']:.3g}",
                f"{speed:.0f}",
                spread(row["share"], ".0%"),
                spread(ratio) if ratio else "",
            ]
        )
    columns = ("", "a frame, hop 1", "GFLOP a frame", "GFLOP/s", "of a matrix product's", "`window` / `stream`")
    return table(columns, rows)
