"""Train a network on labelled clips, and write a checkpoint that `streamcam run --model` takes.

The modules, in the order in which data pass through them:

- `collect` records labelled clips from a camera.
- `data/folders` and `data/csv_file` read annotations: which file shows which class, and when.
- `data/segments` turns annotations into clips, and `data/split` divides these into training and validation.
- `data/dataset` joins all of that.
- `check` looks at some frames of each clip, and warns of what could mislead a network.
- `clips` decodes clips into the frames of a batch, and `workers` does so in processes of their own.
- `augment` varies a batch on the device.
- `optimizer` sets how fast each part of a network learns.
- `loop` trains, and `metrics` scores.
- `report/figures` draws the curves, the confusion matrix and the sheet of heat.
- `report` studies the clips through the trained network, and writes what was learnt as one HTML page.
- `fit` runs all of these for a config.

Two more make a checkpoint fast on CPUs: `quantize` calibrates a model in int8, and `fidelity` measures the result.
"""
