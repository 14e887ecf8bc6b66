"""`python -m streamcam`."""

from streamcam.cli.main import main

main()
