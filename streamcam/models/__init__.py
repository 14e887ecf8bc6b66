"""A name or a checkpoint → `CamModel`."""
