"""How fast is it here? Contenders take turns, so that a noisy machine favours none.

`measure` takes turns and sums up; `engines` times networks, `cameras` the whole pipeline; `run` is `streamcam bench`.
`scripts/bench` holds the same against other tools.
"""
