"""Video decoded on a GPU: pictures come to lie there, as `card.TorchImage`.

FFmpeg, as PyAV brings it along, hands packets to NVIDIA's decoder, of files and of live streams alike; its surfaces are
seen as tensors through DLPack.
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
from streamcam.sources.tags import has_full_range, matrix_in, orientation_in

log = logging.getLogger(__name__)


class GpuDecoder:
    """Has videos decoded by a GPU: what `sources.Decoder` lists."""

    def __init__(self, device: torch.device) -> None:
        """Ask whether it can.

        Raises:
            StreamcamError: it cannot, and why.
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
        """What has been decoded, upright, in RGB; None where it does not lie on the card, or not as 4:2:0.

        Raises:
            StreamcamError: the device has not enough memory.
        """
        if decoded.format.name != "cuda":
            return None
        try:
            return gpu_image(decoded)
        except NotImplementedError:  # PyAV, of chroma that is not halved
            return None
        except torch.OutOfMemoryError as e:
            raise StreamcamError(f"{self.device} has not enough memory for pictures: leave out --decode cuda") from e


def decoders_on(devices: Sequence[torch.device]) -> list[GpuDecoder]:
    """One for each GPU among devices; none where they cannot decode, which is said."""
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
    """A decoded picture, NV12 or P010, upright, in RGB, where it lies.

    Raises:
        NotImplementedError: it is in no such format.
    """
    # As capsules: PyTorch would have PyAV wait for a stream, which it refuses; they share the default one.
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
    exchanged, *flips = orientation_in(decoded)
    rgb = (rgb.mT if exchanged else rgb).flip([at for at, flip in enumerate(flips, 1) if flip])
    picture = TorchImage(rgb.contiguous())
    if rgb.is_cuda:  # the decoder takes its surface back as soon as nobody holds it, whoever still reads it
        torch.cuda.current_stream(rgb.device).synchronize()
    return picture
