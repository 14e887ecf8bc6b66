"""Generate the reference of the command line and of the configuration: python -m scripts.site

The pages docs/reference/cli.md and docs/reference/config.md include what this writes.
"""

from pathlib import Path

from scripts.site import cli, config

OUT = Path(__file__).parents[2] / "build" / "reference"


def main() -> None:
    """Write both parts."""
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "cli.md").write_text(cli.reference(), encoding="utf-8")
    (OUT / "config.md").write_text(config.reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
