"""What moves in a video, by dense optical flow: something to hold heat against where nobody has drawn masks.

Pictures are compared as a network sees them: the part that it sees, squeezed to a square. Lengths are in *px of 112*,
hundred-and-twelfths of that square's side, and speeds in px of 112 a second, whatever the size and rate of the camera.
"""

from collections import deque
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from streamcam.records import Floats, Image, Transform

SIDE = 224
"""Flow is computed at so many pixels a side: half-pixels of 112 show."""

UNIT = SIDE / 112
"""Pixels of the flow field in one px of 112."""

MIN_SPEED = 6.0
"""px of 112 a second: what is slower counts as not moving. A webcam's noise stays below."""

AVERAGED_S = 1 / 15
"""Flow is averaged over so much time to either side, so that noise cancels."""

MIN_CHANGE = 5.0
"""Grey levels, 0–255: where the picture changes less, flow is a guess (on a bare wall, say) and nothing moves."""

FILL = 6.0
"""px of 112: what lies between changes so near to each other is inside a thing, however plain the thing."""

MIN_REGION = 0.005
"""Share of the picture: less than this is a speck, and not a thing that moves."""

DIRECTIONS = ("left", "right", "up", "down")

Mask = npt.NDArray[np.bool_]
Grey = npt.NDArray[np.uint8]


class _Pair(NamedTuple):
    """Two successive pictures, and how far each pixel has moved between them."""

    before_s: float
    after_s: float
    before: Grey
    after: Grey
    moved: Floats
    """float32 [SIDE,SIDE,2], px of 112 to the right and down."""


class Motion(NamedTuple):
    """What moves at one time."""

    velocity: Floats
    """float32 [SIDE,SIDE,2], px of 112 a second to the right and down, less the camera's own."""
    camera: float
    """How fast the camera itself seems to move, px of 112 a second, at its median pixel."""
    moving: Mask
    """bool [SIDE,SIDE]: what is faster than `MIN_SPEED` where the picture does change, without specks."""
    quiet: bool
    """Whether nothing in the picture changes at all; slow motion and flickering light do not count as such."""


class FlowTrack:
    """The optical flow between a video's successive pictures, for the last few seconds.

    Dense inverse search (Kroeger et al., ECCV 2016), as OpenCV has it; deterministic.
    """

    def __init__(self, transform: Transform, *, keep_s: float) -> None:
        """Begin.

        Args:
            transform: the part of the picture that the network sees.
            keep_s: for how long flow is remembered, in seconds.
        """
        self._transform, self._keep_s = transform, keep_s
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._previous: tuple[float, Grey] | None = None
        self._pairs: deque[_Pair] = deque()

    def push(self, image: Image, pts_s: float) -> None:
        """Take the next picture, uint8 [H,W,3], and its time; one that is not later than the last starts afresh."""
        grey = np.asarray(cv2.cvtColor(seen(image, self._transform), cv2.COLOR_RGB2GRAY), np.uint8)
        if self._previous is not None and pts_s > self._previous[0]:
            before_s, before = self._previous
            moved = np.asarray(self._dis.calc(before, grey, None), np.float32)  # type: ignore[call-overload]
            self._pairs.append(_Pair(before_s, pts_s, before, grey, moved / np.float32(UNIT)))
        else:
            self._pairs.clear()
        self._previous = pts_s, grey
        while self._pairs and self._pairs[0].after_s < pts_s - self._keep_s:
            self._pairs.popleft()

    def at(self, pts_s: float) -> Motion | None:
        """What moves at a time: the mean over the pairs of pictures around it; None where there are none."""
        near = [p for p in self._pairs if p.before_s < pts_s + AVERAGED_S and p.after_s > pts_s - AVERAGED_S]
        if not near:
            return None
        seconds = near[-1].after_s - near[0].before_s
        moved = np.sum([pair.moved for pair in near], axis=0)
        own = camera_flow(moved)
        velocity = (moved - own) / np.float32(seconds)
        fast = np.hypot(velocity[..., 0], velocity[..., 1]) > MIN_SPEED
        changes = changed(near[0].before, near[-1].after, own)
        camera = float(np.median(np.hypot(own[..., 0], own[..., 1]))) / seconds
        quiet = camera < MIN_SPEED / 4 and float(changes.mean()) < MIN_REGION / 5
        return Motion(velocity, camera, _without_specks(fast & changes), quiet)


def seen(image: Image, transform: Transform, *, side: int = SIDE) -> Image:
    """The part of a picture that the network sees, squeezed to uint8 [side,side,3]."""
    x0, y0, x1, y1 = transform.to_pixels(*image.shape[:2])
    return np.asarray(cv2.resize(image[y0:y1, x0:x1], (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def camera_flow(flow: Floats, *, rounds: int = 5) -> Floats:
    """The flow [H,W,2] of a camera that pans, turns or zooms: the affine motion that the better half of pixels follows.

    Least trimmed squares: begin with the median, then fit to the half of the pixels that is nearest, a few times. What
    fills more than half of the picture is taken for the scene.
    """
    height, width = flow.shape[:2]
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    terms = np.stack([np.ones_like(xs), xs / width - 0.5, ys / height - 0.5], axis=-1)
    coarse, target = terms[::4, ::4].reshape(-1, 3), flow[::4, ::4].reshape(-1, 2)
    fitted = np.broadcast_to(np.median(target, axis=0), target.shape)
    solution = np.zeros((3, 2), np.float32)
    for _ in range(rounds):
        error = np.square(target - fitted).sum(1)
        nearest = np.argpartition(error, len(error) // 2)[: len(error) // 2]
        solution = np.linalg.lstsq(coarse[nearest], target[nearest], rcond=None)[0]
        fitted = coarse @ solution
    return np.asarray(terms @ solution, np.float32)


def changed(before: Grey, after: Grey, own: Floats) -> Mask:
    """Where two pictures [H,W] differ by `MIN_CHANGE` and by more than noise, beyond the camera's own motion [H,W,2].

    What lies between changes is filled in.
    """
    height, width = before.shape
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    steady = cv2.remap(
        after, xs + UNIT * own[..., 0], ys + UNIT * own[..., 1], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE
    )
    difference = cv2.GaussianBlur(cv2.absdiff(before, steady).astype(np.float32), (0, 0), UNIT)
    differs = difference > max(MIN_CHANGE, 3 * float(np.median(difference)))
    return np.asarray(cv2.morphologyEx(differs.astype(np.uint8), cv2.MORPH_CLOSE, _disc(FILL / 2, height)), np.bool_)


def dilate(mask: Mask, px: float) -> Mask:
    """A mask grown by so many px of 112."""
    return np.asarray(cv2.dilate(mask.astype(np.uint8), _disc(px, mask.shape[0])), np.bool_)


def direction(motion: Motion) -> str | None:
    """Which of `DIRECTIONS` the largest moving region goes; None where it does not go one way along an axis.

    It does where its mean velocity is at least 0.8 of its mean speed (all of it goes the same way), and the velocity
    along one axis at least twice that along the other.
    """
    region = _largest(motion.moving)
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
    """A disc with a radius of so many px of 112, on a picture with so many pixels a side."""
    size = 2 * round(px * side / 112) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)


def _without_specks(mask: Mask) -> Mask:
    """A mask without its regions smaller than `MIN_REGION`."""
    _, numbered, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= MIN_REGION * mask.size
    large[0] = False
    return np.asarray(large[numbered], np.bool_)


def _largest(mask: Mask) -> Mask | None:
    """The largest connected region of a mask; None where it is empty."""
    count, numbered, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        return None
    return np.asarray(numbered == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])), np.bool_)
