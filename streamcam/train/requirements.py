"""The packages that training needs and nothing else does: the extra `train`."""

from importlib.util import find_spec

from streamcam.errors import StreamcamError


def require_training() -> None:
    """Check that the packages of the extra `train` are installed, without importing them.

    Raises:
        StreamcamError: a package is missing.
    """
    for package in ("jinja2", "lightning_fabric", "matplotlib"):
        if find_spec(package) is None:
            raise StreamcamError(f"training needs the package {package}: pip install 'streamcam[train]'")
