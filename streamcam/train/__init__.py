"""Labelled clips → a checkpoint that `streamcam run --model` takes.

collect   camera → labelled clips
dataset   folder or CSV → clips, some of them for validation
clips     clips → batches, decoded by workers
augment   batches → more of them, on the device
loop      batches → weights
report    what came out, for people
fit       a config → all of these, one after the other
"""
