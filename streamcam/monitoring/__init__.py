"""What other programs can ask about a run: figures for Prometheus, and whether it is healthy."""
