"""What an export needs. It is checked before anything slow, without importing PyTorch."""

from importlib.util import find_spec
from pathlib import Path

from streamcam.engines.exported.graph import SUFFIX
from streamcam.errors import StreamcamError

PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime")


def require_exporting(out: Path, *, force: bool) -> None:
    """Check, before anything slow, that a graph can be written.

    Raises:
        StreamcamError: a package is missing, or the file's name or place will not do.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise StreamcamError(f"{' and '.join(missing)} not installed: pip install 'streamcam[export]'")
    if out.suffix != SUFFIX:
        raise StreamcamError(f"a graph is an {SUFFIX} file, got {out}")
    if out.exists() and not force:
        raise StreamcamError(f"{out} exists: give another name, or --force to replace it")
    if not out.parent.is_dir():
        raise StreamcamError(f"no such folder: {out.parent}")
