"""The records that flow through the pipeline: frozen, checked once when they are made.

Frame ──► Clip ──► Heat ──► Result
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from streamcam.errors import StreamcamError

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


class Patch(NamedTuple):
    """A drawing to lay over a rectangle of a picture: `picture · transmittance / 255 + colour`."""

    x: int
    y: int
    colour: Image
    """uint8 [h,w,3], RGB, premultiplied: what the drawing looks like on black."""
    transmittance: Image
    """uint8 [h,w]: how much of the picture shines through, 255 − alpha."""


class GpuImage(Protocol):
    """A picture in a GPU's memory, RGB; it is never changed, and only what is asked for crosses the bus."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3)."""
        ...

    def fetch(self) -> Image:
        """All of it, uint8 [H,W,3]."""
        ...

    def resized(self, height: int, width: int, *, area: bool) -> Image:
        """At another size, uint8 [height,width,3]: by means over areas, or linearly."""
        ...

    def stretched(self, height: int, width: int) -> "GpuImage":
        """At another size, where it lies: linearly."""
        ...

    def heated(
        self, cells: Floats, region: tuple[int, int, int, int], *, scale: float, opacity: float, colours: Image
    ) -> "GpuImage":
        """With heat over a rectangle.

        Args:
            cells: float32 [h,w], logit units.
            region: (x0, y0, x1, y1) in pixels, over which cells are spread.
            scale: the heat, in logit units, that is painted at full strength.
            opacity: 0–1, how much of the picture full strength hides.
            colours: uint8 [256,3], RGB, from no heat to full strength.
        """
        ...

    def with_patches(self, patches: Sequence[Patch]) -> "GpuImage":
        """With what is drawn on it."""
        ...

    def jpeg(self, quality: int) -> bytes | None:
        """As a JPEG file; None where this card, or what is installed, cannot make one."""
        ...


Picture = Image | GpuImage
"""Where a picture lies is where it was decoded."""


def on_host(picture: Picture) -> Image:
    """A picture in the host's memory, uint8 [H,W,3]."""
    return picture if isinstance(picture, np.ndarray) else picture.fetch()


def _show(record: Any) -> str:
    """Show a record with shapes in place of data."""
    shown = []
    for f in fields(record):
        value = getattr(record, f.name)
        if isinstance(value, np.ndarray):
            text = f"{value.dtype}{list(value.shape)}"
        else:
            text = f"({len(value)} items)" if isinstance(value, tuple) and len(value) > 8 else repr(value)
        shown.append(f"{f.name}={text}")
    return f"{type(record).__name__}({', '.join(shown)})"


def _expect(condition: bool, expected: str, got: object) -> None:
    if not condition:
        raise ValueError(f"expected {expected}, got {got}")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Frame:
    """One picture of one camera, and when it was taken."""

    image: Picture | None
    """uint8 [H,W,3], RGB, 0–255, upright, of square pixels. None where a message brought only its particulars."""
    index: int
    """Running number of the frame in its source, over all sessions, from 0."""
    pts_s: float
    """When it is shown, in seconds, by the stream's own clock; a live stream's starts again with each session."""
    captured_ns: int
    """When it reached this program: Unix time in nanoseconds."""
    source: str
    """The camera's name; it is part of message topics."""
    session: int = 0
    """Goes up at every reconnect; nothing is ever computed across two sessions."""

    def __post_init__(self) -> None:
        image = self.image
        if isinstance(image, np.ndarray):
            ok = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size > 0
            _expect(ok, "image uint8 [H,W,3]", f"{image.dtype}{list(image.shape)}")
        _expect(np.isfinite(self.pts_s), "a finite pts_s", self.pts_s)

    @property
    def picture(self) -> Picture:
        """The picture, where it lies.

        Raises:
            StreamcamError: this frame came in a message without pixels.
        """
        if self.image is None:
            raise StreamcamError("this result carries no picture: subscribe to 'frame' or 'overlay' as well")
        return self.image

    @property
    def pixels(self) -> Image:
        """The picture, uint8 [H,W,3]; fetched each time, if it lies on a GPU.

        Raises:
            StreamcamError: this frame came in a message without pixels.
        """
        return on_host(self.picture)

    __repr__ = _show


@dataclass(frozen=True, slots=True)
class Transform:
    """The rectangle of the picture that the network saw, as fractions of the picture's width and height.

    Fractions hold for the picture at any size. (0, 0, 1, 1) is the whole picture.
    """

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0

    def __post_init__(self) -> None:
        ok = 0 <= self.left < self.right <= 1 and 0 <= self.top < self.bottom <= 1
        _expect(ok, "0 ≤ left < right ≤ 1 and 0 ≤ top < bottom ≤ 1", self)

    def to_pixels(self, height: int, width: int) -> tuple[int, int, int, int]:
        """The rectangle (x0, y0, x1, y1) in a picture of [height, width] pixels; never empty."""
        x0, y0 = min(round(self.left * width), width - 1), min(round(self.top * height), height - 1)
        return x0, y0, max(round(self.right * width), x0 + 1), max(round(self.bottom * height), y0 + 1)


@dataclass(frozen=True, slots=True)
class ClipFormat:
    """What a network takes: so many frames at such a rate, resized whole and then cropped at the centre."""

    length: int
    """L, frames in a clip."""
    fps: float
    """Frames a second that the network was trained on."""
    resize: tuple[int, int]
    """(height, width) in pixels that the whole picture is resized to."""
    crop: tuple[int, int]
    """(height, width) in pixels of the centre that the network sees."""
    mean: tuple[float, float, float]
    """Subtracted from each of R, G, B, in units of 0–255."""
    std: tuple[float, float, float]
    """Divides each of R, G, B after that, in units of 0–255."""

    def __post_init__(self) -> None:
        _expect(self.length >= 1 and self.fps > 0, "length ≥ 1 and fps > 0", (self.length, self.fps))
        ok = all(0 < c <= r for c, r in zip(self.crop, self.resize, strict=True))
        _expect(ok, "a crop that fits into resize", f"crop {self.crop} of {self.resize}")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Clip:
    """L prepared frames of one source and one session, evenly spaced in time."""

    frames: npt.NDArray[np.uint8]
    """uint8 [L,3,h,w], RGB, 0–255. A view: the frames are never copied again, and nobody may write to it."""
    pts_s: npt.NDArray[np.float64]
    """float64 [L], the presentation times of the frames that were taken, in seconds."""
    index: int
    """Running number of the newest sample: two clips of a session share all frames but so many as lie between their
    numbers. It jumps by more than L where the window started afresh, so that they then share none."""
    last: Frame
    """The newest camera frame in the clip, as it came."""
    transform: Transform
    """Where in the picture the clip's pixels lie."""
    full: bool = True
    """False while a session is too young for L frames."""

    def __post_init__(self) -> None:
        ok = self.frames.dtype == np.uint8 and self.frames.ndim == 4 and self.frames.shape[1] == 3
        _expect(ok, "frames uint8 [L,3,h,w]", f"{self.frames.dtype}{list(self.frames.shape)}")
        _expect(self.pts_s.shape == self.frames.shape[:1], "one pts a frame", list(self.pts_s.shape))

    __repr__ = _show


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Heat:
    """What the network sees in one clip, and where in space and time: raw, unclipped, in logit units.

    For class k, `logits[classes[k]] = bias[classes[k]] + pooled cube[k]` (to 1e-4 in float32): the classifier's
    weights applied to the last feature map before pooling (Zhou et al., CVPR 2016, equation 2).
    """

    cube: Floats
    """float32 [K,L',h,w], logit units: the heat of K classes."""
    common: Floats
    """float32 [L',h,w]: the mean of the heat over *all* classes. Softmax does not change when one map is added to
    every class, so only `cube − common` is determined: draw that. Zero for a multi-label model, whose sigmoids leave
    nothing undetermined."""
    classes: npt.NDArray[np.int64]
    """int64 [K], indices into the model's classes."""
    labels: tuple[str, ...]
    """K names."""
    scores: Floats
    """float32 [K], probabilities 0–1."""
    logits: Floats
    """float32 [C], of all classes."""
    scale: Floats | None
    """float32 [K]: the centred heat, in logit units, that is painted at full strength. None if the model has none."""
    pts_s: npt.NDArray[np.float64]
    """float64 [L'], the time in seconds that each slice speaks of: the centre of its temporal receptive field."""
    clip_pts_s: tuple[float, float]
    """The times in seconds of the first and the last frame of the clip."""
    transform: Transform
    """Where in the picture the heat lies."""
    model: str
    """The model's name."""
    model_hash: str
    """Hash of its weights."""
    lookahead_s: float = 0.0
    """How long after the moment that it speaks of a slice comes at the earliest, by the source's clock: the network
    waits for so much. Show pictures so much later, and the newest slice speaks of the picture that is shown."""

    def __post_init__(self) -> None:
        # Classes are few: Python has looked at their numbers by the time that NumPy has begun to.
        _expect(self.cube.ndim == 4 and self.cube.size > 0, "cube [K,L',h,w], not empty", list(self.cube.shape))
        count, slices = self.cube.shape[:2]
        _expect(self.common.shape == self.cube.shape[1:], "common [L',h,w]", list(self.common.shape))
        per_class = [len(self.classes), len(self.labels), len(self.scores)]
        _expect(per_class == [count] * 3, f"{count} classes, labels and scores", per_class)
        _expect(all(0 <= score <= 1.001 for score in self.scores.tolist()), "scores from 0 to 1", self.scores)
        scale = self.scale
        ok = scale is None or (scale.shape == (count,) and all(0 < s < inf for s in scale.tolist()))
        _expect(ok, f"{count} scales above 0, or None", scale)
        _expect(self.pts_s.shape == (slices,), f"{slices} slice times", list(self.pts_s.shape))
        _expect(self.logits.ndim == 1, "logits [C]", list(self.logits.shape))
        classes = self.classes.tolist()
        _expect(0 <= min(classes) <= max(classes) < len(self.logits), f"classes below {len(self.logits)}", classes)

    @property
    def centred(self) -> Floats:
        """float32 [K,L',h,w]: `cube − common`, which (under softmax) pools to the logit minus the mean logit."""
        return self.cube - self.common

    __repr__ = _show


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class HeatSlice:
    """What a network sees of one source around one moment, in logit units: a slice of a heat cube."""

    cube: Floats
    """float32 [C,h,w]: the heat of all classes."""
    logits: Floats
    """float32 [C]: `bias + mean of cube`. A window's logits are the mean over its slices'."""
    pts_s: float
    """The time in seconds that it speaks of: the centre of its temporal receptive field."""
    seen_pts_s: tuple[float, float]
    """The times in seconds of the first and the last frame that it has seen."""
    source: str
    """The camera's name."""
    session: int
    """Of the source; goes up at every reconnect."""

    def __post_init__(self) -> None:
        _expect(self.cube.ndim == 3 and self.cube.size > 0, "cube [C,h,w], not empty", list(self.cube.shape))
        _expect(self.logits.shape == self.cube.shape[:1], "one logit a class", list(self.logits.shape))

    __repr__ = _show


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Result:
    """A frame together with the newest heat that is known of its source."""

    frame: Frame
    heat: Heat | None = None
    """None until the first window of the session has been seen."""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    """What each stage took for this result, in milliseconds."""
    drops: Mapping[str, int] = field(default_factory=dict)
    """What each stage has left out so far, for this source."""
    hop_s: float | None = None
    """From the window before that came out of the network to the heat's, in seconds; None for a session's first."""
    skipped: int = 0
    """Windows between those two that were due and left out, since the device cannot keep up. 0: the hop is as asked."""

    @property
    def heat_age_s(self) -> float | None:
        """How much older than the frame the newest frame in the heat's clip is, in seconds."""
        return None if self.heat is None else self.frame.pts_s - self.heat.clip_pts_s[1]

    __repr__ = _show
