"""What a hardware decoder offers to a source: `gpu.decoder` has one."""

from typing import Protocol

from av.codec.hwaccel import HWAccel
from av.video.frame import VideoFrame

from streamcam.records import GpuImage


class Decoder(Protocol):
    """Decodes video elsewhere than on the CPU."""

    @property
    def hwaccel(self) -> HWAccel | None:
        """FFmpeg's hardware acceleration, with which streams are opened."""
        ...

    def picture(self, decoded: VideoFrame) -> GpuImage | None:
        """Return a decoded frame in RGB, upright; None where FFmpeg decoded it on the CPU after all."""
        ...
