"""Pictures on a GPU: prepared, painted and made into JPEG files there, so that none of full size crosses the bus.

All is done on the device's default stream, in order, whichever thread asks for it; engines have streams of their own.
"""

import logging
from collections.abc import Sequence
from functools import cache, lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor

from streamcam.records import Floats, Image, Patch
from streamcam.sources import colour

BLEND_EPSILON = 1e-5
"""What `cv2.blendLinear` adds to the sum of weights."""

log = logging.getLogger(__name__)


class TorchImage:
    """A picture on a device: what `records.GpuImage` lists."""

    def __init__(self, rgb: Tensor) -> None:
        """`rgb`: uint8 [3,H,W]; nobody may write to it."""
        self._rgb = rgb

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3)."""
        channels, height, width = self._rgb.shape
        return height, width, channels

    def __repr__(self) -> str:
        return f"uint8{list(self.shape)} on {self._rgb.device}"

    def fetch(self) -> Image:
        """All of it, uint8 [H,W,3]."""
        return _to_host(self._rgb)

    def resized(self, height: int, width: int, *, area: bool) -> Image:
        """At another size, uint8 [height,width,3]: by means over areas, or linearly."""
        how = cv2.INTER_AREA if area else cv2.INTER_LINEAR
        return _to_host(_to_bytes(_spread(self._rgb.float(), height, width, how)))

    def stretched(self, height: int, width: int) -> "TorchImage":
        """At another size, where it lies: linearly."""
        return TorchImage(_to_bytes(_spread(self._rgb.float(), height, width, cv2.INTER_LINEAR)))

    def heated(
        self, cells: Floats, region: tuple[int, int, int, int], *, scale: float, opacity: float, colours: Image
    ) -> "TorchImage":
        """With heat over a rectangle, as `render.paint` has it; `records.GpuImage` has the arguments."""
        x0, y0, x1, y1 = region
        device = self._rgb.device
        heat = _spread(torch.from_numpy(cells).to(device), y1 - y0, x1 - x0, cv2.INTER_LINEAR)
        strength = (heat / scale).clamp(0, 1)
        table = torch.from_numpy(colours).to(device).T.float()
        colour = table[:, (strength * 255).to(torch.uint8).int()]
        alpha = strength * opacity
        painted = self._rgb.clone()
        part = painted[:, y0:y1, x0:x1]
        part.copy_(_to_bytes((colour * alpha + part * (1 - alpha)) / (1 + BLEND_EPSILON)))
        return TorchImage(painted)

    def with_patches(self, patches: Sequence[Patch]) -> "TorchImage":
        """With what is drawn on it."""
        painted = self._rgb.clone()
        for patch in patches:
            drawn = torch.from_numpy(np.dstack([patch.colour, patch.transmittance])).to(painted.device)
            drawn = drawn.permute(2, 0, 1).float()
            height, width = patch.transmittance.shape
            part = painted[:, patch.y : patch.y + height, patch.x : patch.x + width]
            part.copy_(_to_bytes(drawn[:3] + part * drawn[3] / 255))
        return TorchImage(painted)

    def jpeg(self, quality: int) -> bytes | None:
        """As a JPEG file, by nvJPEG on a GPU; None where that is not to be had, which is said once."""
        try:
            from torchvision.io import encode_jpeg

            encoded: Tensor = encode_jpeg([self._rgb], quality=quality)[0]
        except (ImportError, AttributeError, RuntimeError) as e:
            _say_once(f"{self._rgb.device} makes no JPEG files ({_first_line(e)}): the CPU does")
            return None
        return bytes(encoded.cpu().numpy())


def to_rgb(
    luma: Tensor,
    chroma: Tensor,
    *,
    matrix: int,
    full_range: bool,
    transfer: int = colour.UNSPECIFIED,
    primaries: int = colour.UNSPECIFIED,
) -> Tensor:
    """Y [H,W] and interleaved U and V [H/2,W/2,2], uint8 or uint16 (the upper bits) → RGB, uint8 [3,H,W].

    By ITU-T H.273, as `colour.weights` has it; chroma is repeated, as FFmpeg does where nothing else is asked for. HDR
    is tone-mapped.
    """
    unit = 1.0 if luma.dtype == torch.uint8 else 256.0
    height, width = luma.shape
    at_rows = torch.arange(height, device=luma.device).div_(2, rounding_mode="floor").clamp_(max=chroma.shape[0] - 1)
    at_columns = torch.arange(width, device=luma.device).div_(2, rounding_mode="floor").clamp_(max=chroma.shape[1] - 1)
    y, (u, v) = luma.float() / unit, (chroma.float() / unit)[at_rows][:, at_columns].unbind(-1)
    rows = colour.weights(matrix, full_range=full_range).tolist()
    rgb = torch.stack([(y * a).add_(u, alpha=b).add_(v, alpha=c).add_(rest) for a, b, c, rest in rows])
    return _tone_mapped(rgb, transfer, primaries) if transfer in (colour.PQ, colour.HLG) else _to_bytes(rgb)


def _tone_mapped(values: Tensor, transfer: int, primaries: int) -> Tensor:
    """R, G and B of HDR, float32 [3,H,W], 0–255 → of SDR, uint8, as `colour.tone_mapped` has it."""
    lights, shown = _tone_tables(transfer, values.device)
    light = lights[(values * 257).round().clamp(0, 65535).int()]
    if primaries == colour.BT2020:
        rows = colour.TO_BT709.tolist()
        light = torch.stack([r * light[0] + g * light[1] + b * light[2] for r, g, b in rows])
    return shown[light.round().clamp(0, 65535).int()].to(torch.uint8)


@lru_cache(maxsize=16)
def _tone_tables(transfer: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """float32 [65536] each: value → light, and light → SDR's value."""
    lights, shown = (torch.from_numpy(t.astype(np.float32)) for t in (colour.light(transfer), colour.shown()))
    return lights.to(device), shown.to(device)


def _to_bytes(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)


def _to_host(rgb: Tensor) -> Image:
    return np.asarray(rgb.permute(1, 2, 0).contiguous().cpu().numpy(), np.uint8)


def _spread(values: Tensor, height: int, width: int, how: int) -> Tensor:
    """float32 […,h,w] → […,height,width], by OpenCV's own weights, so that a GPU resizes as the host does."""
    rows, columns = (
        _weights(before, after, how, values.device)
        for before, after in zip(values.shape[-2:], (height, width), strict=True)
    )
    return rows @ values @ columns.T


@lru_cache(maxsize=64)  # a camera may come in ever other sizes
def _weights(before: int, after: int, how: int, device: torch.device) -> Tensor:
    """float32 [after,before]: what of each row goes into which."""
    identity = np.eye(before, dtype=np.float32)
    return torch.from_numpy(cv2.resize(identity, (before, after), interpolation=how)).to(device)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@cache
def _say_once(message: str) -> None:
    log.warning("%s", message)
