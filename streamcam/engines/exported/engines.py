"""The engines of exported graphs: of whole clips, and of streams."""

MAX_BATCH = 8
"""So many clips, or sources' new frames, are computed before results are read."""
