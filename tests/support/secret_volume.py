"""A Secret as the kubelet puts it into a container: real files in one folder, symbolic links on the way there.

VOLUME/server.secret → ..data/server.secret
VOLUME/clients       → ..data/clients
VOLUME/..data        → ..2026_01_31_1/       replaced in one step when the Secret changes
"""

import shutil
from collections.abc import Mapping
from pathlib import Path


class SecretVolume:
    """Writes it, and writes it anew."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._version = folder, 0
        folder.mkdir(parents=True)

    def write(self, items: Mapping[str, bytes], *, mode: int) -> None:
        """All of it at once; a key may be a path."""
        before = sorted(self.folder.glob("..2026_*"))
        self._version += 1
        data = self.folder / f"..2026_01_31_{self._version}"
        for key, content in items.items():
            file = data / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            file.chmod(mode)
        for folder in (self.folder, data, *(path for path in data.rglob("*") if path.is_dir())):
            folder.chmod(0o3777 if folder == self.folder else 0o2755)
        fresh = self.folder / "..data_tmp"
        fresh.symlink_to(data.name)
        fresh.replace(self.folder / "..data")
        for name in {Path(key).parts[0] for key in items}:
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}")
        for old in before:
            shutil.rmtree(old)
