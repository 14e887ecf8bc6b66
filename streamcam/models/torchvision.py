"""torchvision's classifiers of pictures (ImageNet) and of clips (Kinetics-400), cut at their pooling by `split`."""

from functools import partial
from typing import Any
from urllib.error import URLError

from torch import nn
from torchvision.models import get_model, get_model_weights

from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel, ModelEntry
from streamcam.models.spec import ModelSpec
from streamcam.models.split import split
from streamcam.models.weights import fill
from streamcam.records import ClipFormat

IMAGE_MEAN, IMAGE_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
VIDEO_MEAN, VIDEO_STD = (0.43216 * 255, 0.394666 * 255, 0.37645 * 255), (0.22803 * 255, 0.22145 * 255, 0.216989 * 255)

# By name, the shorter side of the picture in pixels. The whole picture is resized, not cropped, so that nothing is cut
# off. All of these networks are convolutional, and take pictures of any size.
PICTURES = {
    **dict.fromkeys(("googlenet", "densenet121", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large"), 224),
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "convnext_tiny"), 224),
    **{f"efficientnet_b{i}": side for i, side in enumerate((224, 240, 288, 300, 380, 456, 528, 600))},
}

GATED = ("mobilenet_v3_small", "mobilenet_v3_large", "convnext_tiny")
"""Networks whose head is linear for a given clip only. A window's logits are not the mean over its slices', so these
networks cannot be streamed."""

RESNET_FORMAT = ClipFormat(16, 15, (128, 171), (112, 112), VIDEO_MEAN, VIDEO_STD)
S3D_FORMAT = ClipFormat(128, 15, (256, 256), (224, 224), VIDEO_MEAN, VIDEO_STD)
SWIN_FORMAT = ClipFormat(32, 15, (224, 224), (224, 224), IMAGE_MEAN, IMAGE_STD)

# By name: clip format, temporal stride, temporal offset, temporal receptive field (None: the whole clip), and how it
# works.
CLIPS: dict[str, tuple[ClipFormat, int, float, int | None, str]] = {
    "r3d_18": (RESNET_FORMAT, 8, 0.0, 109, "3D convolutions throughout"),
    "mc3_18": (RESNET_FORMAT, 1, 0.0, 11, "3D convolutions first, then 2D"),
    "r2plus1d_18": (RESNET_FORMAT, 8, 0.0, 109, "2D convolutions over space, 1D over time"),
    "s3d": (S3D_FORMAT, 8, 2.0, 99, "separable 3D inception"),
    "swin3d_t": (SWIN_FORMAT, 2, 0.5, None, "a video transformer with shifted windows, tiny"),
    "swin3d_s": (SWIN_FORMAT, 2, 0.5, None, "a video transformer with shifted windows, small"),
    "swin3d_b": (SWIN_FORMAT, 2, 0.5, None, "a video transformer with shifted windows, base"),
}

# Networks that people may ask for, and why they cannot be used.
REFUSED = {
    name: f"{name} has no exact heat: it reads its answer from a class token and does not pool; use swin3d_t"
    for name in ("mvit_v1_b", "mvit_v2_s")
}


def _labels(name: str) -> tuple[str, ...]:
    return tuple(get_model_weights(name).DEFAULT.meta["categories"])


def _shapes(side: int) -> tuple[tuple[int, int], ...]:
    """Give (height, width) of pictures that are not square, in multiples of 32: 16:9, 4:3, 3:4 and 9:16."""
    wide, medium = (round(side * aspect / 32) * 32 for aspect in (16 / 9, 4 / 3))
    return (side, wide), (side, medium), (medium, side), (wide, side)


def _picture_spec(name: str, side: int, labels: tuple[str, ...]) -> ModelSpec:
    return ModelSpec(
        name=name,
        summary="1000 things in a picture, averaged over the clip",
        classes=labels,
        clip_format=ClipFormat(16, 15, (side, side), (side, side), IMAGE_MEAN, IMAGE_STD, _shapes(side)),
        framewise=True,
        temporal_receptive_field=None if name in GATED else 1,
        weights_source="torchvision's download (ImageNet-1k)",
    )


def _clip_spec(name: str, labels: tuple[str, ...]) -> ModelSpec:
    clip_format, stride, offset, receptive_field, special = CLIPS[name]
    return ModelSpec(
        name=name,
        summary=f"400 human actions; {special}",
        classes=labels,
        clip_format=clip_format,
        framewise=False,
        temporal_stride=stride,
        temporal_offset=offset,
        temporal_receptive_field=receptive_field,
        weights_source="torchvision's download (Kinetics-400)",
    )


def _specs() -> dict[str, ModelSpec]:
    pictures, clips = _labels("resnet18"), _labels("r3d_18")
    return {
        **{name: _clip_spec(name, clips) for name in CLIPS},
        **{name: _picture_spec(name, side, pictures) for name, side in PICTURES.items()},
    }


def build(name: str, weights: str) -> CamModel:
    """Build a torchvision network with the given weights: DEFAULT, none or a file."""
    return CamModel.from_split(MODELS[name].spec, split(_network(name, weights)))


def _network(name: str, weights: str) -> nn.Module:
    # GoogLeNet's own random weights take half a minute, with a warning. Its auxiliary heads are for training.
    options: dict[str, Any] = {}
    if name == "googlenet" and weights != "DEFAULT":
        options = {"init_weights": False, "aux_logits": False}
    try:
        pretrained = get_model_weights(name).DEFAULT if weights == "DEFAULT" else None
        network: nn.Module = get_model(name, weights=pretrained, **options)
    except (URLError, OSError) as e:
        reason = getattr(e, "reason", e)
        raise StreamcamError(
            f"cannot download the weights of {name} ({reason}): use --weights FILE, or --weights none to measure"
        ) from e
    if weights not in ("DEFAULT", "none"):
        fill(network, weights)
    return network


MODELS = {name: ModelEntry(spec, partial(build, name)) for name, spec in _specs().items()}
