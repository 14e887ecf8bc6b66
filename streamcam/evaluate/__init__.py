"""Evaluate a network on clips with truth: is it right, and is its heat in the right place?

- `truth`, `dataset`: read masks, boxes and classes.
- `windows`: cut clips into windows and compute their heat.
- `methods`: the heat that is compared: centred, raw, Grad-CAM and baselines.
- `metrics`, `scores`, `erasure`: measure how well heat fits the truth.
- `assess`, `report`, `sheets`, `run`: score a clip, then a data set, and write what comes of it.
- `flow`, `moving`: compare heat with optical flow, for footage that nobody has labelled.
"""
