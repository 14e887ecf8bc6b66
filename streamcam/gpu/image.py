"""GPU images: resized, painted and encoded as JPEG on the GPU, so that no picture of full size crosses the bus.

Everything runs on the device's default CUDA stream, in order, whichever thread calls. Engines have CUDA streams of
their own. Without a GPU, the same code runs on the CPU, as tests do.
"""

import logging
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor

from streamcam.errors import first_line
from streamcam.records import Floats, Image, Patch
from streamcam.sources.log_once import warn_once
from streamcam.sources.pixels import colour

BLEND_EPSILON = 1e-5
"""What `cv2.blendLinear` adds to the sum of the weights."""

log = logging.getLogger(__name__)


class TorchImage:
    """A picture on one of PyTorch's devices: a `records.GpuImage`."""

    def __init__(self, rgb: Tensor) -> None:
        """Take RGB values, uint8 [3,H,W], which nobody may write to from now on."""
        self._rgb = rgb

    @property
    def shape(self) -> tuple[int, int, int]:
        """The picture's shape: (H, W, 3)."""
        channels, height, width = self._rgb.shape
        return height, width, channels

    def __repr__(self) -> str:
        return f"uint8{list(self.shape)} on {self._rgb.device}"

    def fetch(self) -> Image:
        """Copy the picture to the host, uint8 [H,W,3]."""
        return _to_host(self._rgb)

    def resized(self, height: int, width: int, *, area: bool) -> Image:
        """Resize it, by means over areas or linearly, and copy that to the host, uint8 [height,width,3]."""
        interpolation = cv2.INTER_AREA if area else cv2.INTER_LINEAR
        return _to_host(_to_bytes(_resize(self._rgb.float(), height, width, interpolation)))

    def stretched(self, height: int, width: int) -> "TorchImage":
        """Resize it linearly; the result stays on the device."""
        return TorchImage(_to_bytes(_resize(self._rgb.float(), height, width, cv2.INTER_LINEAR)))

    def heated(
        self, cells: Floats, region: tuple[int, int, int, int], *, scale: float, colours: Image, hidden: Floats
    ) -> "TorchImage":
        """Paint heat over a rectangle, as `render.paint` does. `records.GpuImage` describes the arguments."""
        x0, y0, x1, y1 = region
        device = self._rgb.device
        heat = _resize(torch.from_numpy(cells).to(device), y1 - y0, x1 - x0, cv2.INTER_LINEAR)
        indices = ((heat / scale).clamp(0, 1) * 255).to(torch.uint8).int()
        paint = torch.from_numpy(colours).to(device).T.float()[:, indices]
        alpha = torch.from_numpy(hidden).to(device)[indices]
        # As cv2.blendLinear, which paints on the host.
        painted = self._rgb.clone()
        target = painted[:, y0:y1, x0:x1]
        target.copy_(_to_bytes((paint * alpha + target * (1 - alpha)) / (1 + BLEND_EPSILON)))
        return TorchImage(painted)

    def with_patches(self, patches: Sequence[Patch]) -> "TorchImage":
        """Blend patches into it: `picture · transmittance / 255 + colour` on each one's rectangle."""
        painted = self._rgb.clone()
        for patch in patches:
            drawn = torch.from_numpy(np.dstack([patch.colour, patch.transmittance])).to(painted.device)
            drawn = drawn.permute(2, 0, 1).float()
            height, width = patch.transmittance.shape
            part = painted[:, patch.y : patch.y + height, patch.x : patch.x + width]
            part.copy_(_to_bytes(drawn[:3] + part * drawn[3] / 255))
        return TorchImage(painted)

    def jpeg(self, quality: int) -> bytes | None:
        """Encode it as a JPEG file, on a GPU by nvJPEG; where that is missing, log it once, and return None.

        Args:
            quality: 1–100.
        """
        try:
            from torchvision.io import encode_jpeg

            encoded: Tensor = encode_jpeg([self._rgb], quality=quality)[0]
        except (ImportError, AttributeError, RuntimeError) as e:
            warn_once(log, f"{self._rgb.device} makes no JPEG files ({first_line(e)}): the CPU does")
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
    """Convert 4:2:0 video to RGB, uint8 [3,H,W], by ITU-T H.273; HDR is tone-mapped.

    Each chroma value is repeated for four pixels, as FFmpeg does by default.

    Args:
        luma: Y, [H,W], uint8 (NV12) or uint16 with the value in the upper bits (P010).
        chroma: U and V, interleaved, [H/2,W/2,2], of the same dtype.
        matrix: one that `colour.yuv_to_rgb_matrix` takes.
        full_range: whether values go from 0 to the largest, and not from 16 to 235 (of 8 bits).
        transfer: H.273's transfer characteristics; `colour.PQ` and `colour.HLG` are HDR.
        primaries: H.273's primaries, used for HDR alone.
    """
    unit = 1.0 if luma.dtype == torch.uint8 else 256.0  # brings both to 0–255
    height, width = luma.shape
    # The row and column of chroma for each row and column of luma; of odd sizes, the last one may be missing.
    row_of = torch.arange(height, device=luma.device).div_(2, rounding_mode="floor").clamp_(max=chroma.shape[0] - 1)
    column_of = torch.arange(width, device=luma.device).div_(2, rounding_mode="floor").clamp_(max=chroma.shape[1] - 1)
    y, (u, v) = luma.float() / unit, (chroma.float() / unit)[row_of][:, column_of].unbind(-1)
    to_rgb_rows = colour.yuv_to_rgb_matrix(matrix, full_range=full_range).tolist()
    rgb = torch.stack([(y * a).add_(u, alpha=b).add_(v, alpha=c).add_(offset) for a, b, c, offset in to_rgb_rows])
    return _tone_map(rgb, transfer, primaries) if transfer in (colour.PQ, colour.HLG) else _to_bytes(rgb)


def _tone_map(values: Tensor, transfer: int, primaries: int) -> Tensor:
    """Map R, G and B of HDR, float32 [3,H,W], 0–255, to SDR, uint8 [3,H,W], as `colour.tone_map` does."""
    light_of, sdr_of = _tone_tables(transfer, values.device)
    # 255 · 257 = 65535, the tables' last entry.
    light = light_of[(values * 257).round().clamp(0, 65535).int()]
    if primaries == colour.BT2020:
        rows = colour.BT2020_TO_BT709.tolist()
        light = torch.stack([r * light[0] + g * light[1] + b * light[2] for r, g, b in rows])
    return sdr_of[light.round().clamp(0, 65535).int()].to(torch.uint8)


@lru_cache(maxsize=16)
def _tone_tables(transfer: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return two tables, float32 [65536]: HDR's value → light, and light → SDR's value."""
    tables = colour.light_table(transfer), colour.sdr_table()
    light_of, sdr_of = (torch.from_numpy(table.astype(np.float32)).to(device) for table in tables)
    return light_of, sdr_of


def _to_bytes(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)


def _to_host(rgb: Tensor) -> Image:
    return np.asarray(rgb.permute(1, 2, 0).contiguous().cpu().numpy(), np.uint8)


def _resize(values: Tensor, height: int, width: int, interpolation: int) -> Tensor:
    """Resize float32 […,h,w] → […,height,width] as OpenCV does on the host.

    Resizing is separable and linear in the values. So it is a product with one matrix for rows and one for columns.
    """
    rows, columns = (
        _resize_matrix(before, after, interpolation, values.device)
        for before, after in zip(values.shape[-2:], (height, width), strict=True)
    )
    return rows @ values @ columns.T


@lru_cache(maxsize=64)  # bounded: a camera may change its size again and again
def _resize_matrix(before: int, after: int, interpolation: int, device: torch.device) -> Tensor:
    """Return float32 [after,before]: each old row's weight in each new row, as OpenCV resizes an identity matrix."""
    identity = np.eye(before, dtype=np.float32)
    return torch.from_numpy(cv2.resize(identity, (before, after), interpolation=interpolation)).to(device)
