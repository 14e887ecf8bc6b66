"""What is in a file that was written: its pictures' times, its beeps and its table."""

import csv
from pathlib import Path

import av
import numpy as np


def beeps(path: Path) -> list[float]:
    """When beeps begin, in seconds."""
    found, was_loud = [], False
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray().astype(np.float32).reshape(-1)[: frame.samples]
            for i in range(0, len(samples), 48):
                loud = bool(np.abs(samples[i : i + 48]).max() > 0.2)
                if loud and not was_loud:
                    found.append(float(frame.time or 0) + i / frame.sample_rate)
                was_loud = loud
    return found


def video_times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0) if frame.time is not None]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "frames.csv").open() as table:
        return list(csv.DictReader(table))
