"""Fetch freely licensed pictures for rendered scenes: python -m scripts.motion.photographs FOLDER

Debian's packages of wallpapers and of stamps for a paint program are downloaded with apt-get and unpacked. Nothing is
installed, and no right beyond writing to the folder is needed. The pictures are kept as JPEG with at most 512 pixels a
side. `photographs.json` lists each with its package, the version of that, and its licence.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

LICENCES = {
    "gnome-backgrounds": "CC-BY-SA-3.0, CC-BY-SA-2.0, CC-BY-2.0, GPL-2+",
    "lomiri-wallpapers-16.04": "CC-BY-4.0, CC-BY-SA-3.0, CC-BY-SA-4.0, CC0-1.0",
    "lomiri-wallpapers-20.04": "CC-BY-4.0, CC-BY-SA-3.0, CC-BY-SA-4.0, CC0-1.0",
    "mate-backgrounds": "GPL-2+, CC-BY-SA-4.0",
    "plasma-workspace-wallpapers": "GPL-2+",
    "tuxpaint-stamps-default": "GPL-2",
    "ukui-wallpapers": "CC-BY-SA-3.0",
}
"""Package → the licences of its pictures, from its debian/copyright; all of them allow use and modification."""
LARGEST_PX, LEAST_PX, QUALITY = 512, 96, 90
LEFT_OUT = ("screenshot", "symbols", "_mirror")
"""Parts of paths of what is left out: thumbnails, letters and flags, and what is there a second time."""


class FetchError(Exception):
    """Something that the reader of the message can put right."""


def download(package: str, folder: Path) -> Path:
    """Download a package's file into a folder, and return where it is."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise FetchError("apt-get and dpkg-deb are missing: run this on Debian or Ubuntu")
    done = subprocess.run(["apt-get", "-q", "download", package], cwd=folder, capture_output=True, text=True)
    files = sorted(folder.glob(f"{package}_*.deb"))
    if done.returncode or not files:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise FetchError(f"{package}: {reason}; does 'apt-get update' help?")
    return files[0]


def pictures(folder: Path) -> Iterator[Path]:
    """The pictures of an unpacked package: of each that is there in several sizes, the one with the largest file."""
    best: dict[Path, Path] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder)).lower()
        if path.suffix.lower() not in (".jpg", ".jpeg", ".png", ".webp") or path.is_symlink():
            continue
        if not any(part in name for part in LEFT_OUT):
            one = path.parent if path.parent.name.startswith("images") else path
            best[one] = max(best.get(one, path), path, key=lambda p: p.stat().st_size)
    yield from best.values()


def scaled(path: Path) -> np.ndarray | None:
    """A picture as uint8 [H,W,3], BGR, over grey where it is transparent; None if it is too small or cannot be read."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or min(image.shape[:2]) < LEAST_PX:
        return None
    if image.dtype == np.uint16:
        image = (image / 256).astype(np.uint8)
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    if image.shape[2] == 4:
        alpha = image[..., 3:].astype(np.float32) / 255
        rows, columns = np.flatnonzero(alpha.any((1, 2))), np.flatnonzero(alpha.any((0, 2)))
        if min(len(rows), len(columns)) < LEAST_PX:
            return None
        over = 128 + (image[..., :3] - 128.0) * alpha
        image = over[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.uint8)
    factor = LARGEST_PX / max(image.shape[:2])
    if factor < 1:
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image)


def fetch(folder: Path, packages: list[str]) -> list[dict[str, str]]:
    """Fill a folder, and return what is in it."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for package in track(packages, description="packages"):
        with tempfile.TemporaryDirectory() as name:
            temporary = Path(name)
            file = download(package, temporary)
            unpacked = temporary / "unpacked"
            subprocess.run(["dpkg-deb", "-x", str(file), str(unpacked)], check=True)
            for path in pictures(unpacked):
                image = scaled(path)
                if image is not None:
                    where = path.relative_to(unpacked / "usr" / "share")
                    target = "_".join([package, *where.with_suffix("").parts[1:]]).replace(" ", "_") + ".jpg"
                    cv2.imwrite(str(folder / target), image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
                    version = file.name.split("_")[1].replace("%3a", ":")
                    found.append({"file": target, "package": package, "version": version, "licence": LICENCES[package]})
    (folder / "photographs.json").write_text(json.dumps(found, indent=1) + "\n")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    try:
        found = fetch(args.folder, list(LICENCES))
    except (FetchError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{len(found)} pictures in {args.folder}")


if __name__ == "__main__":
    main()
