"""The models by name.

To add one, write a `ModelSpec` and a function that builds a `CamModel`, and list both in `MODELS`.
"""

from collections import ChainMap
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamcam.errors import StreamcamError
from streamcam.models import checkpoint, imagenet, motion, motion_first, torchvision
from streamcam.models.base import CamModel, ModelEntry
from streamcam.models.spec import Int8, ModelSpec

if TYPE_CHECKING:
    from streamcam.models.model_card import ModelCard

MODELS: dict[str, ModelEntry] = {
    **imagenet.MODELS,
    "motion": ModelEntry(motion.SPEC, motion.build),
    **torchvision.MODELS,
}

ARCHITECTURES = ChainMap({"motion-first": ModelEntry(motion_first.SPEC, motion_first.build)}, MODELS)
"""What a checkpoint may be made from: the models, and a network that only checkpoints have."""

NAMES_IN_CARDS = {
    "imagenet": "efficientnet-lite2",
    "imagenet-fast": "imagenet",
    "motion": "motion-scales",
    "motion-first": "motion",
}
"""What cards call models, where that differs: in 0.1.0 `imagenet` was EfficientNet-Lite0, and `motion` smaller."""


def find_spec(name: str) -> ModelSpec:
    """Give the description of a model by its name, or of a checkpoint by its path.

    Raises:
        StreamcamError: there is no such model.
    """
    if checkpoint.is_checkpoint(name):
        card = checkpoint.read_card(Path(name))
        return checkpoint.spec_of(Path(name), card, _architecture(card))
    if name in torchvision.REFUSED:
        raise StreamcamError(torchvision.REFUSED[name])
    if Path(name).suffix == ".onnx":
        raise StreamcamError(
            f"{name} is an exported graph, which only streamcam run computes: name the model or the checkpoint that it "
            "was exported from"
        )
    if name not in MODELS:
        close = get_close_matches(name, MODELS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(MODELS)}"
        if Path(name).exists():  # such as the folder that a training wrote
            hint = f"a checkpoint ends in .safetensors: train writes {Path(name) / 'best.safetensors'}"
        raise StreamcamError(f"no such model: {name} ({hint})")
    return MODELS[name].spec


def load_model(name: str | Path = "imagenet", *, weights: str | None = None) -> CamModel:
    """Build a model, in evaluation mode, on the CPU, in float32.

    Args:
        name: one of `streamcam models`, or the path of a checkpoint (.safetensors, with its card beside it).
        weights: DEFAULT (the published ones), none (random, for measuring), or a .safetensors or .pth file. By default
            the spec's; a checkpoint has its own.

    Raises:
        StreamcamError: there is no such model, or its weights cannot be downloaded or read.
    """
    name = str(name)
    spec = find_spec(name)
    if not checkpoint.is_checkpoint(name):
        return MODELS[name].build(weights or spec.weights)
    if weights is not None:
        raise StreamcamError(f"{name} is a checkpoint with weights of its own: leave out --weights")
    # The checkpoint's network is its architecture's, with the checkpoint's classes.
    card = checkpoint.read_card(Path(name))
    model = ARCHITECTURES[_architecture(card).name].build("none").with_spec(spec)
    checkpoint.fill_from(model, Path(name), card)
    return model


def save_checkpoint(model: CamModel, path: Path, *, int8: Int8 | None = None, **card_keys: Any) -> "ModelCard":
    """Write a model's weights and its card, for `load_model` and `streamcam run --model`.

    Args:
        model: one of `streamcam models`, or made from one by `with_spec`.
        path: ends in .safetensors; the card is written beside it.
        int8: its quantised features, if any.
        card_keys: more keys of `ModelCard`: metrics, data_hash, licence, about.

    Raises:
        StreamcamError: it is a network of your own, which `load_model` could not build; or its classes are added up to
            groups; or the file cannot be written.
    """
    name = model.spec.architecture or model.spec.name
    if name not in ARCHITECTURES:
        raise StreamcamError(
            f"{model.spec.name} is a network of your own, and load_model could not build it: keep its weights with "
            "torch.save(network.state_dict(), …), and load them before CamModel.from_module"
        )
    if model.groups is not None:
        raise StreamcamError(f"classes of {name} are added up to groups: save the model that it was before")
    return checkpoint.save(model, path, architecture=NAMES_IN_CARDS.get(name, name), int8=int8, **card_keys)


def _architecture(card: "ModelCard") -> ModelSpec:
    """Find the model that a checkpoint's network is built as."""
    models = {NAMES_IN_CARDS.get(name, name): entry for name, entry in ARCHITECTURES.items()}
    if card.architecture not in models:
        raise StreamcamError(f"{card.name} is a checkpoint of {card.architecture}, which this version does not have")
    return models[card.architecture].spec
