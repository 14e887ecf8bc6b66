"""torchvision's 3D ResNets, trained on Kinetics-400 (Tran et al., CVPR 2018)."""

from functools import partial
from urllib.error import URLError

from torch import nn
from torchvision.models import get_model, get_model_weights
from torchvision.models.video import R3D_18_Weights, VideoResNet

from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel, ModelSpec
from streamcam.models.weights import fill
from streamcam.records import ClipFormat

LABELS: tuple[str, ...] = tuple(R3D_18_Weights.KINETICS400_V1.meta["categories"])

FORMAT = ClipFormat(
    length=16,
    fps=15,
    resize=(128, 171),
    crop=(112, 112),
    mean=(0.43216 * 255, 0.394666 * 255, 0.37645 * 255),
    std=(0.22803 * 255, 0.22145 * 255, 0.216989 * 255),
)


def _spec(name: str, summary: str, temporal_stride: int) -> ModelSpec:
    return ModelSpec(
        name=name,
        summary=f"400 human actions; {summary}",
        classes=LABELS,
        clip_format=FORMAT,
        framewise=False,
        temporal_stride=temporal_stride,
        weights_source="torchvision's download (Kinetics-400)",
    )


SPECS = {
    "r3d_18": _spec("r3d_18", "3D convolutions throughout", 8),
    "mc3_18": _spec("mc3_18", "3D convolutions first, then 2D", 1),
    "r2plus1d_18": _spec("r2plus1d_18", "2D convolutions over space, 1D over time", 8),
}


def build(name: str, weights: str) -> CamModel:
    """A torchvision video ResNet with the given weights: DEFAULT, none or a file."""
    network = _network(name, weights)
    features = nn.Sequential(network.stem, network.layer1, network.layer2, network.layer3, network.layer4)
    return CamModel(SPECS[name], features, network.fc.weight, network.fc.bias)


def _network(name: str, weights: str) -> VideoResNet:
    try:
        network: VideoResNet = get_model(
            name, weights=get_model_weights(name).DEFAULT if weights == "DEFAULT" else None
        )
    except (URLError, OSError) as e:
        reason = getattr(e, "reason", e)
        raise StreamcamError(
            f"cannot download the weights of {name} ({reason}): use --weights FILE, or --weights none to measure"
        ) from e
    if weights not in ("DEFAULT", "none"):
        fill(network, weights)
    return network


BUILDERS = {name: partial(build, name) for name in SPECS}
