"""Measure how fast this machine is. The methods that are compared take turns, so that a busy machine favours none.

- `measure` lets methods take turns, and sums up their times.
- `engines` times a model's engines, and a matrix product to compare them with.
- `cameras` runs the whole pipeline, and finds how many cameras it sustains.
- `run` is `streamcam bench`.
- `temporal` is `streamcam models --analyze`: what a network sees of time, and what streaming gains.

`scripts/benchmarks` compares streamcam with other tools.
"""
