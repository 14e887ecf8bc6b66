"""Commands that describe the models and this machine: models, doctor."""

from importlib.util import find_spec
from typing import Annotated

import typer

from streamcam.cli.options import Weights
from streamcam.errors import StreamcamError


def models(
    analyze: Annotated[
        str | None, typer.Option(metavar="NAME", help="measure what streaming brings to a model or checkpoint")
    ] = None,
    weights: Weights = None,
) -> None:
    """List the models, or measure one."""
    if analyze is not None:
        from streamcam.cli.output.analysis import analyze_and_print

        analyze_and_print(analyze, weights=weights)
        return
    if weights is not None:
        raise StreamcamError("--weights is for --analyze NAME")
    from streamcam.cli.output.about import print_models

    if find_spec("torch") is None:
        from streamcam.engines.exported.backends import read_graph
        from streamcam.engines.exported.graph import packaged_graphs

        print_models({name: read_graph(path, backend="auto")[1].card.spec() for name, path in packaged_graphs()})
        print("There are more with PyTorch: pip install 'streamcam[torch]'")
        return
    from streamcam.models.registry import MODELS

    print_models({name: entry.spec for name, entry in MODELS.items()})


def doctor() -> None:
    """Report what works on this machine, and what to do about the rest."""
    from streamcam.cli.doctor import examine
    from streamcam.cli.output.about import print_finding

    for finding in examine():
        print_finding(finding)
