"""Find what moves in a video by dense optical flow, to compare heat with it where nobody has drawn masks.

Pictures are compared as the network sees them: cropped to what it looks at, and squeezed to a square. Lengths are in
*px of 112*: hundred-and-twelfths of that square's side. Speeds are in px of 112 a second. So the figures do not depend
on the camera's resolution and frame rate.
"""

from collections import deque
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from streamcam.heat.localise import connected_regions
from streamcam.records import Floats, Image, Transform

SIDE = 224
"""Pixels of a side of the flow field: twice 112, so that half a px of 112 can be measured."""

UNIT = SIDE / 112
"""Pixels of the flow field in one px of 112."""

MIN_SPEED = 6.0
"""In px of 112 a second: what is slower does not count as moving. A webcam's noise stays below."""

AVERAGED_S = 1 / 15
"""In seconds: flow is averaged over this time before and after, so that noise cancels."""

MIN_CHANGE = 5.0
"""In grey levels, 0–255: where the picture changes less, nothing moves. On a bare wall, say, flow is a guess."""

FILL = 6.0
"""In px of 112: a gap of this width between two changes is filled, because plain objects change at their edges only."""

MIN_REGION = 0.005
"""Share of the picture: smaller regions are noise, not objects that move."""

DIRECTIONS = ("left", "right", "up", "down")

Mask = npt.NDArray[np.bool_]
Grey = npt.NDArray[np.uint8]


class _Pair(NamedTuple):
    """Two successive pictures, and the displacement of each pixel between them."""

    before_s: float
    after_s: float
    before: Grey
    after: Grey
    displacement: Floats
    """float32 [SIDE,SIDE,2], px of 112 to the right and down."""


class Motion(NamedTuple):
    """The motion in the picture at one time."""

    velocity: Floats
    """float32 [SIDE,SIDE,2], px of 112 a second to the right and down, without the camera's own motion."""
    camera: float
    """The camera's own speed in px of 112 a second: the median over all pixels."""
    moving: Mask
    """bool [SIDE,SIDE]: pixels that are faster than `MIN_SPEED` and do change, in regions from `MIN_REGION` on."""
    quiet: bool
    """True if nothing changes at all: neither slow motion nor flickering light."""


class FlowHistory:
    """A buffer of the optical flow between a video's successive pictures, for the last few seconds.

    The method is dense inverse search (DIS): Kroeger et al., *Fast Optical Flow using Dense Inverse Search*, ECCV 2016,
    in OpenCV's implementation. It is deterministic.
    """

    def __init__(self, transform: Transform, *, keep_s: float) -> None:
        """Make an empty buffer.

        Args:
            transform: the part of the picture that the network sees.
            keep_s: the time that flow is kept, in seconds.
        """
        self._transform, self._keep_s = transform, keep_s
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._previous: tuple[float, Grey] | None = None
        self._pairs: deque[_Pair] = deque()

    def push(self, image: Image, pts_s: float) -> None:
        """Add the next picture and compute its flow.

        Args:
            image: uint8 [H,W,3], RGB.
            pts_s: its time in seconds. If it is not later than the last one, the buffer is cleared first.
        """
        grey = np.asarray(cv2.cvtColor(crop_to_square(image, self._transform), cv2.COLOR_RGB2GRAY), np.uint8)
        if self._previous is not None and pts_s > self._previous[0]:
            before_s, before = self._previous
            displacement = np.asarray(self._dis.calc(before, grey, None), np.float32)  # type: ignore[call-overload]
            self._pairs.append(_Pair(before_s, pts_s, before, grey, displacement / np.float32(UNIT)))
        else:
            self._pairs.clear()
        self._previous = pts_s, grey
        while self._pairs and self._pairs[0].after_s < pts_s - self._keep_s:
            self._pairs.popleft()

    def at(self, pts_s: float) -> Motion | None:
        """Return the motion at a time: the mean over the pairs of pictures around it. None without such pairs."""
        # Displacements of successive pairs are summed pixel by pixel. Over 2/15 s, objects move by few pixels.
        near = [p for p in self._pairs if p.before_s < pts_s + AVERAGED_S and p.after_s > pts_s - AVERAGED_S]
        if not near:
            return None
        duration_s = near[-1].after_s - near[0].before_s
        displacement = np.sum([pair.displacement for pair in near], axis=0)
        camera = camera_flow(displacement)
        velocity = (displacement - camera) / np.float32(duration_s)
        fast = np.hypot(velocity[..., 0], velocity[..., 1]) > MIN_SPEED
        changes = changed(near[0].before, near[-1].after, camera)
        camera_speed = float(np.median(np.hypot(camera[..., 0], camera[..., 1]))) / duration_s
        quiet = camera_speed < MIN_SPEED / 4 and float(changes.mean()) < MIN_REGION / 5
        return Motion(velocity, camera_speed, _without_small_regions(fast & changes), quiet)


def crop_to_square(image: Image, transform: Transform, *, side: int = SIDE) -> Image:
    """Crop a picture to what the network sees, and squeeze it to uint8 [side,side,3]."""
    x0, y0, x1, y1 = transform.to_pixels(*image.shape[:2])
    return np.asarray(cv2.resize(image[y0:y1, x0:x1], (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def camera_flow(flow: Floats, *, rounds: int = 5) -> Floats:
    """Estimate the flow of a camera that pans, turns or zooms: the affine motion that half of the pixels follow best.

    This is least trimmed squares (Rousseeuw, 1984): begin with the median, then refit to the half of the pixels with
    the smallest error. An object that fills more than half of the picture is taken for the scene.

    Args:
        flow: float32 [H,W,2].
        rounds: the number of refits.

    Returns:
        float32 [H,W,2].
    """
    height, width = flow.shape[:2]
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    # Affine flow: u(x,y) = (1, x, y) · S, with S [3,2] to be found. Every fourth pixel either way is enough for that.
    terms = np.stack([np.ones_like(xs), xs / width - 0.5, ys / height - 0.5], axis=-1)
    coarse, target = terms[::4, ::4].reshape(-1, 3), flow[::4, ::4].reshape(-1, 2)
    fitted = np.broadcast_to(np.median(target, axis=0), target.shape)
    solution = np.zeros((3, 2), np.float32)
    for _ in range(rounds):
        # Keep the better half: pixels of moving objects are outliers, and lose their influence.
        error = np.square(target - fitted).sum(1)
        nearest = np.argpartition(error, len(error) // 2)[: len(error) // 2]
        solution = np.linalg.lstsq(coarse[nearest], target[nearest], rcond=None)[0]
        fitted = coarse @ solution
    return np.asarray(terms @ solution, np.float32)


def changed(before: Grey, after: Grey, camera: Floats) -> Mask:
    """Find where two pictures differ by more than noise, apart from the camera's own motion. Gaps are filled.

    A change counts where it exceeds both `MIN_CHANGE` grey levels and three times the median change.

    Args:
        before: uint8 [H,W].
        after: uint8 [H,W].
        camera: the camera's flow, float32 [H,W,2] in px of 112.

    Returns:
        bool [H,W].
    """
    height, width = before.shape
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    # Undo the camera's motion: what was at (x, y) is now at (x, y) plus the flow there.
    steady = cv2.remap(
        after, xs + UNIT * camera[..., 0], ys + UNIT * camera[..., 1], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE
    )
    difference = cv2.GaussianBlur(cv2.absdiff(before, steady).astype(np.float32), (0, 0), UNIT)
    differs = difference > max(MIN_CHANGE, 3 * float(np.median(difference)))
    # Closing, with a disc of half the gap, fills what lies between two edges of one object.
    return np.asarray(cv2.morphologyEx(differs.astype(np.uint8), cv2.MORPH_CLOSE, _disc(FILL / 2, height)), np.bool_)


def dilate(mask: Mask, px: float) -> Mask:
    """Grow a mask by a radius in px of 112."""
    return np.asarray(cv2.dilate(mask.astype(np.uint8), _disc(px, mask.shape[0])), np.bool_)


def region_direction(motion: Motion) -> str | None:
    """Return the one of `DIRECTIONS` in which the largest moving region goes.

    None if it does not go one way along an axis. It does under two conditions: the length of its mean velocity is at
    least 0.8 of its mean speed, so all of it goes the same way. And it moves at least twice as fast along one axis as
    along the other.
    """
    region = _largest_region(motion.moving)
    if region is None:
        return None
    velocity = motion.velocity[region]
    x, y = (float(v) for v in velocity.mean(0))
    coherent = np.hypot(x, y) >= 0.8 * float(np.hypot(velocity[:, 0], velocity[:, 1]).mean())
    if not coherent or max(abs(x), abs(y)) < 2 * min(abs(x), abs(y)):
        return None
    if abs(x) > abs(y):
        return "right" if x > 0 else "left"
    return "down" if y > 0 else "up"


def _disc(px: float, side: int) -> Grey:
    """Return a disc for morphology: a radius in px of 112, on a picture of `side` pixels."""
    size = 2 * round(px * side / 112) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)


def _without_small_regions(mask: Mask) -> Mask:
    """Remove the regions of a mask that are smaller than `MIN_REGION`."""
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= MIN_REGION * mask.size
    large[0] = False  # the background
    return np.asarray(large[numbers], np.bool_)


def _largest_region(mask: Mask) -> Mask | None:
    """Return the largest connected region of a mask; None if it is empty."""
    numbers, regions = connected_regions(mask)
    return np.asarray(numbers == regions[0][0], np.bool_) if regions else None
