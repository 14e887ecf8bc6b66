"""Labelled clips → a checkpoint that `streamcam run --model` takes.

collect   camera → labelled clips
dataset   folder or CSV → clips, some of them for validation
clips     clips → frames of a batch
workers   clips → batches, decoded by processes
augment   batches → more of them, on the device
optimizer how fast each part of a network learns
loop      batches → weights
report    what came out, for people
fit       a config → all of these, one after the other
"""

from importlib.util import find_spec

from streamcam.errors import StreamcamError


def require_training() -> None:
    """Find out whether what only training needs is installed.

    Raises:
        StreamcamError: it is not.
    """
    for package in ("lightning_fabric", "matplotlib"):
        if find_spec(package) is None:
            raise StreamcamError(f"training needs the package {package}: pip install 'streamcam[train]'")
