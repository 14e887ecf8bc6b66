"""What the command line shows while it runs, and at the end; a module for each of `streamcam.cli`."""
