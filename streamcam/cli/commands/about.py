"""Commands that tell what there is: models, doctor."""

from typing import Annotated

import typer

from streamcam.cli.options import option
from streamcam.errors import StreamcamError


def models(
    analyze: Annotated[
        str | None, typer.Option(metavar="NAME", help="measure what streaming brings to a model or checkpoint")
    ] = None,
    weights: Annotated[str | None, option("weights")] = None,
) -> None:
    """List the models, or look into one."""
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
    """Say what of this machine works, and what to do about the rest."""
    from streamcam.cli.doctor import examine
    from streamcam.cli.output.about import print_finding

    for finding in examine():
        print_finding(finding)
