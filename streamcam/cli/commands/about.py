"""Commands that describe the models and this machine: models, doctor."""

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
    from streamcam.models.registry import MODELS

    print_models({name: entry.spec for name, entry in MODELS.items()})


def doctor() -> None:
    """Report what works on this machine, and what to do about the rest."""
    from streamcam.cli.doctor import examine
    from streamcam.cli.output.about import print_finding

    for finding in examine():
        print_finding(finding)
