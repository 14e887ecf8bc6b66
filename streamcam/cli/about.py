"""Commands that tell what there is: models, doctor."""


def models() -> None:
    """List the models."""
    from streamcam.console.about import print_models
    from streamcam.models import SPECS

    print_models(SPECS)


def doctor() -> None:
    """Say what of this machine works, and what to do about the rest."""
    from streamcam.console.about import print_finding
    from streamcam.doctor import examine

    for finding in examine():
        print_finding(finding)
