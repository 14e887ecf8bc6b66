"""Drawn pictures → frames of a camera: light, lens, sensor and compression."""

import io
from fractions import Fraction

import av
import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from scripts.motion.layers import Scene

Drawn = npt.NDArray[np.float32]
"""[T,H,W,3], 0–255."""
Filmed = npt.NDArray[np.uint8]
"""[T,H,W,3]."""


def film(clip: Drawn, scene: Scene, once: npt.NDArray[np.intp]) -> Filmed:
    """Film the frames `once` of a scene, which are those that the camera took; those after it repeat them."""
    clip = lit(clip, scene, once)
    rng = np.random.default_rng([scene.seed, 2])
    if scene.blur:
        for frame in clip:
            cv2.GaussianBlur(frame, (5, 5), scene.blur, dst=frame)
    if scene.noise:
        clip += rng.standard_normal((*clip.shape[:3], 1), np.float32) * np.float32(scene.noise)
    if scene.colour_noise:
        clip += rng.standard_normal(clip.shape, np.float32) * np.float32(scene.colour_noise)
    if scene.quality or scene.stale:
        x = torch.from_numpy(clip).permute(3, 0, 1, 2)
        if scene.quality:
            x = compress(x, scene.quality)
        if scene.stale:
            x = replenish(x.contiguous(), scene.stale, scene.refresh, first=scene.seed % scene.refresh)
        clip = x.permute(1, 2, 3, 0).numpy()
    filmed = np.rint(np.clip(clip, 0, 255)).astype(np.uint8)
    return encoded(filmed, scene.codec, scene.coarse) if scene.codec else filmed


def lit(clip: Drawn, scene: Scene, once: npt.NDArray[np.intp]) -> Drawn:
    """The pictures under the light of each frame."""
    h, w = clip.shape[1:3]
    gain = scene.gain[once].astype(np.float32)[:, None, None]
    if scene.lamp is not None:
        gain = 1 + (gain - 1) * _spot(scene.lamp, h, w)
    if scene.slope.any():
        x, y = (np.linspace(-1, 1, n, dtype=np.float32) for n in (w, h))
        slope = scene.slope[once].astype(np.float32)[..., None, None]
        gain = gain * (1 + slope[:, 0] * x + slope[:, 1] * y[:, None])
    return np.asarray(clip * gain[..., None], np.float32)


def _spot(lamp: tuple[float, float, float], h: int, w: int) -> npt.NDArray[np.float32]:
    """Where a lamp shines, 0 to 1, [H,W]."""
    y, x = np.mgrid[:h, :w]
    far = (np.hypot(x - lamp[0], y - lamp[1]) - lamp[2]) / (0.15 * lamp[2])
    return np.asarray(1 / (1 + np.exp(np.minimum(far, 50))), np.float32)


def compress(clip: Tensor, step: float) -> Tensor:
    """Round the cosine transform of 8×8 blocks, coarser for higher frequencies, as JPEG and video codecs do."""
    k = torch.arange(8, device=clip.device, dtype=torch.float32)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * torch.pi / 16) * 0.5
    basis[0] /= 2**0.5
    blocks = clip.unflatten(-1, (-1, 8)).unflatten(-3, (-1, 8)).transpose(-2, -3).contiguous()
    steps = step * (0.4 + (k[None] + k[:, None]) / 4)
    waves = (blocks @ basis.T).mT @ basis.T  # rows and columns are exchanged, and back again below
    waves = torch.round(waves / steps) * steps
    return ((waves @ basis).mT @ basis).transpose(-2, -3).flatten(-4, -3).flatten(-2)


def replenish(clip: Tensor, least: float, refresh: int, *, first: int) -> Tensor:
    """Send a block of 8×8 pixels anew only where it has changed by `least`, and all of them every `refresh` frames.

    So a picture stands still between its key frames and jumps a little at them, as video codecs make it.
    """
    sent = clip.clone()
    for t in range(1, clip.shape[1]):
        if (t + first) % refresh:
            change = F.avg_pool2d((clip[:, t] - sent[:, t - 1]).abs().mean(0)[None, None], 8)
            anew = F.interpolate((change > least).float(), scale_factor=8)[0]
            sent[:, t] = torch.lerp(sent[:, t - 1], clip[:, t], anew)
    return sent


def encoded(clip: Filmed, codec: str, coarse: float) -> Filmed:
    """The clip as a real encoder and its decoder leave it; `coarse` from 0, good, to 1, hardly bearable."""
    options = {
        "libx264": {"crf": str(round(24 + 16 * coarse)), "preset": "veryfast", "threads": "1"},
        "mpeg4": {"qmin": str(round(3 + 15 * coarse)), "qmax": str(round(5 + 20 * coarse)), "threads": "1"},
        "mjpeg": {"qmin": str(round(4 + 14 * coarse)), "qmax": str(round(4 + 14 * coarse)), "threads": "1"},
    }[codec]
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=15, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = clip.shape[1:3]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 15)
        for i, picture in enumerate(clip):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 15)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as written:
        written.streams.video[0].codec_context.thread_count = 1
        frames = [frame.to_ndarray(format="rgb24") for frame in written.decode(video=0)]
    if len(frames) != len(clip):
        raise ValueError(f"{codec} gave {len(frames)} of {len(clip)} frames")
    return np.stack(frames)
