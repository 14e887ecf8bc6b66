"""Compute the heat of labelled clips, for figures and pictures."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.records import Heat, Image
from streamcam.train.clips import read_frames, unreadable_note
from streamcam.train.data.annotations import LabelledClip


def explain(model: CamModel, clip: LabelledClip) -> tuple[Sequence[Image], Heat]:
    """Return the middle frames of a clip as the network sees them, L × uint8 [h,w,3], and the heat of all classes.

    Raises:
        StreamcamError: no frame of the clip can be decoded.
    """
    prepared = read_frames(clip, model.spec.clip_format, count=model.spec.clip_format.length)
    frames = np.ascontiguousarray(prepared.transpose(0, 2, 3, 1))
    return list(frames), model.eval().explain(frames)


def explain_readable(
    model: CamModel, clips: Sequence[LabelledClip], say: Callable[[str], None]
) -> Iterator[tuple[Sequence[Image], Heat]]:
    """Yield what `explain` returns for each clip that can be decoded, and name the others."""
    for clip in clips:
        try:
            yield explain(model, clip)
        except StreamcamError:
            say(unreadable_note(clip))
