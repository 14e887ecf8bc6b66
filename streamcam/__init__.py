"""Live video in; a network's verdict, and where in space and time it sees it, out."""
