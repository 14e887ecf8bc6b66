"""A GPU decoder for machines without a GPU."""

from av.video.frame import VideoFrame

from streamcam.gpu.decoder import gpu_image
from streamcam.gpu.image import TorchImage

FIXED_POINT_ONE = 1 << 16
"""1 as display matrices write it, in 16.16 fixed point: ISO/IEC 14496-12, 8.3.2."""


class CpuDecoder:
    """A decoder that gives GPU images, with surfaces that the CPU decoded."""

    hwaccel = None

    def picture(self, decoded: VideoFrame) -> TorchImage | None:
        return gpu_image(decoded.reformat(format="nv12"))
