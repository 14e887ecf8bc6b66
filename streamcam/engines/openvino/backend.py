"""OpenVINO as a backend: on a CPU."""

from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.openvino.library import require_openvino
from streamcam.engines.openvino.runner import OpenVinoRunner, pick_openvino_precision
from streamcam.engines.openvino.stream import OpenVinoStream, OpenVinoStreamRunner
from streamcam.engines.streaming.converted import StreamNetwork
from streamcam.engines.streaming.network import Network, streaming
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel


class OpenVinoBackend:
    """Computes networks with OpenVINO."""

    def require(self, device: str) -> None:
        """Check that OpenVINO is installed, and that a CPU is asked for.

        Raises:
            StreamcamError: it is not installed, or another device is asked for.
        """
        if device not in ("auto", "cpu"):
            raise StreamcamError(f"openvino computes on the CPU, not on {device}: use --device cpu, or --backend torch")
        require_openvino()

    def make_runner(self, model: CamModel, *, device: str, precision: str) -> TorchRunner:
        """Convert a model for OpenVINO.

        Raises:
            StreamcamError: there is no such precision, or the model cannot be converted.
        """
        self.require(device)
        return OpenVinoRunner(model, pick_openvino_precision(precision, model))

    def make_stream(self, model: CamModel, *, device: str, precision: str, dense: bool) -> tuple[TorchRunner, Network]:
        """Convert a model to a network of streams, and that for OpenVINO.

        A network that looks at each frame alone has no state, so it is converted as it is for whole clips.

        Raises:
            StreamcamError: there is no such precision, or the model cannot be streamed or converted.
        """
        self.require(device)
        if model.spec.framewise:
            framewise = self.make_runner(model, device=device, precision=precision)
            return framewise, streaming(framewise.model)
        runner = OpenVinoStreamRunner(model, pick_openvino_precision(precision, model))
        int8 = model.int8 if runner.precision == "int8" else None
        if int8 is not None and dense and model.spec.temporal_stride > 1:
            raise StreamcamError(
                f"in int8, {model.spec.name} gives a slice for every {model.spec.temporal_stride} frames: leave out "
                "dense, or use --precision bf16"
            )
        network = streaming(runner.model, dense=dense)
        assert isinstance(network, StreamNetwork)
        quantized = None if int8 is None else int8.steps
        return runner, OpenVinoStream(network, model.spec, precision=runner.precision, quantized=quantized)

    def stream_refusal(self, model: CamModel, precision: str) -> str | None:
        """Return why a model cannot be streamed in int8; None where it can, or is not in int8."""
        if model.spec.framewise or pick_openvino_precision(precision, model) != "int8":
            return None
        if model.int8 is None or model.int8.steps is not None:
            return None
        return (
            f"{model.spec.name} was quantised for whole clips alone: use --engine window, or --precision bf16 to "
            "stream it, or quantize it again"
        )
