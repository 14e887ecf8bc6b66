"""Decoding video on a GPU: each frame becomes a `TorchImage` in the GPU's memory.

PyAV's FFmpeg hands the packets of files and live streams to NVIDIA's decoder (NVDEC). PyTorch reads the decoder's
surfaces through DLPack, without a copy.
"""

import logging
from collections.abc import Sequence

import av.error
import torch
from av.codec.context import CodecContext
from av.codec.hwaccel import HWAccel
from av.video.frame import VideoFrame
from torch.utils.dlpack import from_dlpack

from streamcam.errors import StreamcamError
from streamcam.gpu.image import TorchImage, to_rgb
from streamcam.sources.pixels.tags import has_full_range, matrix_in, orientation_in

log = logging.getLogger(__name__)


class GpuDecoder:
    """NVIDIA's decoder of one GPU: a `sources.decoder.Decoder`."""

    def __init__(self, device: torch.device) -> None:
        """Check that the GPU can decode.

        Raises:
            StreamcamError: it cannot; the message says why.
        """
        self.device = device
        try:
            self.hwaccel = HWAccel(
                device.type, device=str(device.index or 0), allow_software_fallback=True, is_hw_owned=True
            )
            CodecContext.create("h264", "r", hwaccel=self.hwaccel)
        except (av.error.FFmpegError, OSError, NotImplementedError) as e:
            raise StreamcamError(
                f"{device} gives no decoder (is libnvcuvid there? A container needs NVIDIA_DRIVER_CAPABILITIES=video)"
            ) from e

    def picture(self, decoded: VideoFrame) -> TorchImage | None:
        """Convert a decoded frame to RGB, upright; return None where it is not on the GPU, or not 4:2:0.

        Raises:
            StreamcamError: the GPU has not enough memory.
        """
        if decoded.format.name != "cuda":
            return None
        try:
            return gpu_image(decoded)
        except NotImplementedError:  # PyAV raises it too, for chroma that is not halved
            return None
        except torch.OutOfMemoryError as e:
            raise StreamcamError(f"{self.device} has not enough memory for pictures: leave out --decode cuda") from e


def decoders_on(devices: Sequence[torch.device]) -> list[GpuDecoder]:
    """Return a decoder for each GPU among the devices; where they cannot decode, log why, and return none."""
    try:
        decoders = [GpuDecoder(device) for device in devices if device.type == "cuda"]
    except StreamcamError as e:
        log.warning("decoding on the CPU: %s", e)
        return []
    if not decoders:
        log.warning("decoding on the CPU: --decode cuda is for networks that run on --device cuda")
    return decoders


@torch.inference_mode()
def gpu_image(decoded: VideoFrame) -> TorchImage:
    """Convert a decoded frame to RGB, upright, on the device that it was decoded on.

    Args:
        decoded: a frame in NV12 or P010: luma [H,W], and interleaved chroma [H/2,W/2,2].

    Raises:
        NotImplementedError: the frame has another format.
    """
    # Given the planes themselves, PyTorch would ask PyAV to wait for a CUDA stream, which PyAV refuses. So it is given
    # DLPack capsules. Decoder and PyTorch both use the default CUDA stream, which keeps their order.
    luma, chroma = (from_dlpack(plane.__dlpack__()) for plane in decoded.planes[:2])
    if chroma.ndim != 3:
        raise NotImplementedError(f"expected NV12 or P010, got {decoded.format.name}")
    rgb = to_rgb(
        luma,
        chroma,
        matrix=matrix_in(decoded),
        full_range=has_full_range(decoded),
        transfer=int(decoded.color_trc),
        primaries=int(decoded.color_primaries),
    )
    transposed, *flips = orientation_in(decoded)  # flips of rows (dimension 1) and of columns (dimension 2)
    rgb = (rgb.mT if transposed else rgb).flip([dim for dim, flip in enumerate(flips, 1) if flip])
    picture = TorchImage(rgb.contiguous())
    # The decoder reuses its surface as soon as nothing refers to it, even while a kernel still reads it: wait for that.
    if rgb.is_cuda:
        torch.cuda.current_stream(rgb.device).synchronize()
    return picture
