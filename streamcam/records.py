"""The records that flow through the pipeline.

    Frame ──► Clip ──► Heat ──► Result

A source makes frames. A sliding window joins frames to clips. An engine computes the heat of clips. The pipeline gives
sinks a result for each frame and for each window, which is the stretch of time that a clip covers. Beside these, the
stream engine's `push` gives a `HeatSlice` at a time. Records are frozen, and check their arrays when they are made.

The letters in shapes: N clips in a batch, L frames in a clip, L' heat slices of a clip, C classes of a model, K of
those that a result carries, H×W pixels of a picture, h×w pixels of a prepared frame or cells of a heat map.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import inf, log
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from streamcam.errors import StreamcamError

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


class Patch(NamedTuple):
    """A drawing to lay over a rectangle of a picture: `picture · transmittance / 255 + colour`."""

    x: int
    """Left edge in the picture, in pixels."""
    y: int
    """Top edge in the picture, in pixels."""
    colour: Image
    """uint8 [h,w,3], RGB, premultiplied: what the drawing looks like on black."""
    transmittance: Image
    """uint8 [h,w]: how much of the picture shines through, 255 − alpha."""


class GpuImage(Protocol):
    """An RGB picture in a GPU's memory.

    It is never changed: each method gives a new picture. Pixels are copied to the host by `fetch`, `resized` and `jpeg`
    only.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3)."""
        ...

    def fetch(self) -> Image:
        """Copy the picture to the host: uint8 [H,W,3]."""
        ...

    def resized(self, height: int, width: int, *, area: bool) -> Image:
        """Resize, and copy to the host: uint8 [height,width,3].

        Args:
            height: of the result, in pixels.
            width: of the result, in pixels.
            area: take means over areas, as is right for shrinking; otherwise interpolate linearly.
        """
        ...

    def stretched(self, height: int, width: int) -> "GpuImage":
        """Resize by linear interpolation, and stay on the GPU."""
        ...

    def heated(
        self, cells: Floats, region: tuple[int, int, int, int], *, scale: float, colours: Image, hidden: Floats
    ) -> "GpuImage":
        """Paint heat over a rectangle.

        Args:
            cells: float32 [h,w], logit units.
            region: (x0, y0, x1, y1) in pixels; the cells are spread over it.
            scale: the heat, in logit units, that is painted at full strength.
            colours: uint8 [256,3], RGB, from no heat to full strength.
            hidden: float32 [256], 0–1: how much of the picture each of the colours hides.
        """
        ...

    def with_patches(self, patches: Sequence[Patch]) -> "GpuImage":
        """Draw patches onto the picture."""
        ...

    def jpeg(self, quality: int) -> bytes | None:
        """Encode as a JPEG file of a quality from 1 to 100; None where the GPU or the installed libraries cannot."""
        ...


Picture = Image | GpuImage
"""A picture lies where it was decoded: in the host's memory or in a GPU's."""


def on_host(picture: Picture) -> Image:
    """Give a picture as uint8 [H,W,3] in the host's memory; copy it if it lies on a GPU."""
    return picture if isinstance(picture, np.ndarray) else picture.fetch()


def _show(record: Any) -> str:
    """Write a record with shapes in place of arrays, and lengths in place of long tuples."""
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
    """One picture of one source, and its time."""

    image: Picture | None
    """uint8 [H,W,3], RGB, 0–255, upright, of square pixels. None where a subscriber got a
    message without pixels."""
    index: int
    """Number of the frame in its source, from 0. It counts on over reconnects."""
    pts_s: float
    """Presentation time in seconds; it rises within a session.

    A file's counts from the file's beginning, on through resets of its clock. A live source's counts from the start of
    each session."""
    captured_ns: int
    """When the frame reached this program: Unix time in nanoseconds."""
    source: str
    """The source's name. It is part of message topics."""
    session: int = 0
    """Goes up at every reconnect. No clip holds frames of two sessions."""

    def __post_init__(self) -> None:
        image = self.image
        if isinstance(image, np.ndarray):
            ok = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size > 0
            _expect(ok, "image uint8 [H,W,3]", f"{image.dtype}{list(image.shape)}")
        _expect(np.isfinite(self.pts_s), "a finite pts_s", self.pts_s)

    @property
    def picture(self) -> Picture:
        """The picture, in the memory where it lies.

        Raises:
            StreamcamError: this frame came in a message without pixels.
        """
        if self.image is None:
            raise StreamcamError("this result carries no picture: subscribe to 'frame' or 'overlay' as well")
        return self.image

    @property
    def pixels(self) -> Image:
        """The picture as uint8 [H,W,3] in the host's memory; each access copies it, if it lies on a GPU.

        Raises:
            StreamcamError: this frame came in a message without pixels.
        """
        return on_host(self.picture)

    __repr__ = _show


@dataclass(frozen=True, slots=True)
class Transform:
    """The rectangle of the picture that the network saw, as fractions of the picture's width and height.

    Fractions are right for the picture at any size. (0, 0, 1, 1) is the whole picture.
    """

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0

    def __post_init__(self) -> None:
        ok = 0 <= self.left < self.right <= 1 and 0 <= self.top < self.bottom <= 1
        _expect(ok, "0 ≤ left < right ≤ 1 and 0 ≤ top < bottom ≤ 1", self)

    def to_pixels(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Give the rectangle (x0, y0, x1, y1) in a picture of [height, width] pixels. It is never empty."""
        x0, y0 = min(round(self.left * width), width - 1), min(round(self.top * height), height - 1)
        return x0, y0, max(round(self.right * width), x0 + 1), max(round(self.bottom * height), y0 + 1)


@dataclass(frozen=True, slots=True)
class ClipFormat:
    """The clips that a network takes: how long, how fast, how large, and how normalised.

    A picture is resized whole, then cropped at the centre. A network that takes several sizes gets the one whose aspect
    is nearest to the picture's, and nothing is cropped.
    """

    length: int
    """L, frames in a clip."""
    fps: float
    """Frames a second of the clips that the network was trained on."""
    resize: tuple[int, int]
    """(height, width) in pixels of the resized picture."""
    crop: tuple[int, int]
    """(height, width) in pixels of the centre that is cut out of it, and that the network sees."""
    mean: tuple[float, float, float]
    """Subtracted from each of R, G, B, in units of 0–255."""
    std: tuple[float, float, float]
    """Divides each of R, G, B after the subtraction, in units of 0–255."""
    shapes: tuple[tuple[int, int], ...] = ()
    """(height, width) in pixels of other sizes that the network takes, for pictures of other aspects."""

    def __post_init__(self) -> None:
        _expect(self.length >= 1 and self.fps > 0, "length ≥ 1 and fps > 0", (self.length, self.fps))
        ok = all(0 < c <= r for c, r in zip(self.crop, self.resize, strict=True))
        _expect(ok, "a crop that fits into resize", f"crop {self.crop} of {self.resize}")
        _expect(not self.shapes or self.crop == self.resize, "no crop beside shapes", f"{self.crop} of {self.resize}")
        _expect(all(min(shape) > 0 for shape in self.shapes), "shapes above 0", self.shapes)

    def fitted(self, height: int, width: int) -> "ClipFormat":
        """Give the format for pictures of one size: that of `shapes` and `resize` whose aspect is nearest."""
        if not self.shapes:
            return self

        def distance(shape: tuple[int, int]) -> float:
            return abs(log(shape[1] / shape[0] * height / width))

        nearest = min((self.resize, *self.shapes), key=distance)
        return replace(self, resize=nearest, crop=nearest, shapes=())


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Clip:
    """L prepared frames of one source and one session, evenly spaced in time."""

    frames: npt.NDArray[np.uint8]
    """uint8 [L,3,h,w], RGB, 0–255; fewer than L where the clip is not full.

    A view of a buffer that several clips share: nobody may write to it."""
    pts_s: npt.NDArray[np.float64]
    """float64 [L]: presentation times of the frames, in seconds."""
    index: int
    """Number of the newest frame at the network's rate.

    Two full clips whose numbers differ by d < L share L − d frames. Where the window started afresh, as after a gap,
    the number jumps by more than L: the clips before and after share no frame."""
    last: Frame
    """The newest camera frame in the clip, before it was resized."""
    transform: Transform
    """The part of the picture that the clip shows."""
    full: bool = True
    """Whether there are L frames. A session's first clips may have fewer."""

    def __post_init__(self) -> None:
        ok = self.frames.dtype == np.uint8 and self.frames.ndim == 4 and self.frames.shape[1] == 3
        _expect(ok, "frames uint8 [L,3,h,w]", f"{self.frames.dtype}{list(self.frames.shape)}")
        _expect(self.pts_s.shape == self.frames.shape[:1], "one pts a frame", list(self.pts_s.shape))

    __repr__ = _show


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Heat:
    """The classes that a network finds in one clip, and where in space and time it finds them.

    The heat cube is the classifier applied to the last feature map before pooling (Zhou et al., CVPR 2016,
    equation 2). Pooling and classifier are linear, and the cube is neither clipped nor scaled. So for each class
    k, with the classifier's bias, to 1e-4 in float32:

        logits[classes[k]] = bias[classes[k]] + mean of cube[k] over all positions

    Of a group of classes, the bias depends on the clip (`streamcam.heat.groups`).
    """

    cube: Floats
    """float32 [K,L',h,w], logit units: the heat of K classes."""
    common: Floats
    """float32 [L',h,w]: the mean of the heat over all C classes; zero for a multi-label model.

    Softmax does not change when the same map is added to every class, so only `cube − common` has a meaning: draw that.
    A sigmoid does change, so nothing is subtracted for a multi-label model."""
    classes: npt.NDArray[np.int64]
    """int64 [K]: indices into the model's classes."""
    labels: tuple[str, ...]
    """K names of classes."""
    scores: Floats
    """float32 [K]: probabilities, 0–1."""
    logits: Floats
    """float32 [C]: of all classes."""
    scale: Floats | None
    """float32 [K], logit units: the centred heat that is painted at full strength. None: it was not measured."""
    pts_s: npt.NDArray[np.float64]
    """float64 [L']: the time in seconds of the moment that each heat slice speaks of: see `ModelSpec.slice_frames`."""
    clip_pts_s: tuple[float, float]
    """Presentation times of the clip's first and last frame, in seconds."""
    transform: Transform
    """The part of the picture that the heat covers."""
    model: str
    """The model's name."""
    model_hash: str
    """The first 12 hex digits of the SHA-256 of its weights."""
    lookahead_s: float = 0.0
    """Seconds of video after a slice's own time that the network has to see before it can give the slice.

    A viewer that delays each picture by this much can paint the newest slice on the picture that it belongs to."""

    def __post_init__(self) -> None:
        # `tolist` and Python's own comparisons: for a handful of classes they are faster than a NumPy call.
        _expect(self.cube.ndim == 4 and self.cube.size > 0, "cube [K,L',h,w], not empty", list(self.cube.shape))
        count, slices = self.cube.shape[:2]
        _expect(self.common.shape == self.cube.shape[1:], "common [L',h,w]", list(self.common.shape))
        per_class = [len(self.classes), len(self.labels), len(self.scores)]
        _expect(per_class == [count] * 3, f"{count} classes, labels and scores", per_class)
        # A message carries scores that were rounded, so one may lie a little above 1.
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
        """float32 [K,L',h,w]: the centred heat, `cube − common`.

        Under softmax, its mean over all positions is the logit minus the mean logit, both taken without their biases.
        """
        return self.cube - self.common

    def keep(self, rows: npt.NDArray[np.integer]) -> "Heat":
        """Return the same with fewer classes.

        Args:
            rows: the places of the classes to keep on the cube's first axis, at least one.
        """
        return replace(
            self,
            cube=self.cube[rows],
            classes=self.classes[rows],
            labels=tuple([self.labels[k] for k in rows]),
            scores=self.scores[rows],
            scale=None if self.scale is None else self.scale[rows],
        )

    __repr__ = _show


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class HeatSlice:
    """One slice of a heat cube: the heat of one source around one moment, in logit units."""

    cube: Floats
    """float32 [C,h,w]: the heat of all classes."""
    logits: Floats
    """float32 [C]: `bias + mean of cube` over all cells. A window's logits are the mean over its slices' logits. They
    are not for groups of classes, whose classes have other shares in each slice."""
    pts_s: float
    """The time in seconds of the moment that the slice speaks of: see `ModelSpec.slice_frames`."""
    seen_pts_s: tuple[float, float]
    """Presentation times of the first and the last frame that went into the slice, in seconds."""
    source: str
    """The source's name."""
    session: int
    """The source's session; it goes up at every reconnect."""

    def __post_init__(self) -> None:
        _expect(self.cube.ndim == 3 and self.cube.size > 0, "cube [C,h,w], not empty", list(self.cube.shape))
        _expect(self.logits.shape == self.cube.shape[:1], "one logit a class", list(self.logits.shape))

    __repr__ = _show


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Result:
    """A frame, and the newest heat of its source."""

    frame: Frame
    heat: Heat | None = None
    """None until the session's first window has been computed."""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds that each stage took for this result; the keys are in `metrics.STAGES`."""
    drops: Mapping[str, int] = field(default_factory=dict)
    """By stage: how many frames or windows of this source it has dropped so far."""
    hop_s: float | None = None
    """Seconds from the end of the computed window before to the end of `heat`'s; None for a session's first window."""
    skipped: int = 0
    """Windows that were dropped just before `heat`'s, because the device cannot keep up."""

    @property
    def heat_age_s(self) -> float | None:
        """Seconds from the newest frame of the heat's clip to this frame; None without heat."""
        return None if self.heat is None else self.frame.pts_s - self.heat.clip_pts_s[1]

    __repr__ = _show
