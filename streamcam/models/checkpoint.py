"""Reads and writes checkpoints: weights as safetensors, and beside them a model card in JSON. Nothing is unpickled.

runs/wave/best.safetensors      the tensors of a `CamModel`
runs/wave/best.json             its `ModelCard`
"""

import hashlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save as as_safetensors
from torch import Tensor

from streamcam.errors import StreamcamError
from streamcam.files import complete_or_absent, write_json
from streamcam.models.base import CamModel
from streamcam.models.spec import Int8, ModelSpec, Stored
from streamcam.models.weights import load_state
from streamcam.records import ClipFormat

if TYPE_CHECKING:
    from streamcam.models.model_card import ModelCard

SUFFIX = ".safetensors"
MAX_CARD_BYTES = 8 << 20
"""A larger model card is refused."""

INT8_WHOLE, INT8_STEPS = ("int8.graph", "int8.weights"), ("int8.steps.graph", "int8.steps.weights")
"""Names of the tensors in which a quantised model stores its OpenVINO networks, as bytes."""


def is_checkpoint(name: str) -> bool:
    """Return whether a model's name is the path of a checkpoint."""
    return name.endswith(SUFFIX)


def card_path(path: Path) -> Path:
    """Return the path of a checkpoint's card."""
    return path.with_suffix(".json")


def read_card(path: Path) -> "ModelCard":
    """Read the card of a checkpoint.

    Raises:
        StreamcamError: there is no such checkpoint, or its card cannot be read or is not valid.
    """
    # Imported here, so that networks can be used without pydantic.
    from pydantic import ValidationError

    from streamcam.models.model_card import ModelCard
    from streamcam.strict import describe

    card = card_path(path)
    if not path.is_file():
        raise StreamcamError(f"no such checkpoint: {path}")
    try:
        with card.open("rb") as file:
            content = file.read(MAX_CARD_BYTES + 1)  # one more than allowed shows that there is more
    except OSError as e:
        raise StreamcamError(f"cannot read the card of {path}: {e.strerror} ({card.name} belongs beside it)") from e
    if len(content) > MAX_CARD_BYTES:
        raise StreamcamError(f"{card}: a card has at most {MAX_CARD_BYTES >> 20} MiB")
    try:
        return ModelCard.model_validate_json(content)
    except ValidationError as e:
        raise StreamcamError(f"{card}: {describe(e.errors()[0])}") from None


def spec_of(path: Path, card: "ModelCard", architecture: ModelSpec) -> ModelSpec:
    """Describe a checkpoint by its card. `architecture` is the model that the card names, whose network it has."""
    return replace(
        architecture,
        name=card.name,
        architecture=architecture.name,
        summary=card.about.partition("\n")[0] or f"{architecture.name}, trained on clips of your own",
        classes=tuple(card.classes),
        clip_format=ClipFormat(**card.clip.model_dump()),
        multi_label=card.multi_label,
        temperature=card.temperature,
        heat_scale=None if card.heat_scale is None else tuple(card.heat_scale),
        weights=str(path),
        weights_source=str(path),
    )


def fill_from(model: CamModel, path: Path, card: "ModelCard") -> None:
    """Load a checkpoint's weights into a model.

    Raises:
        StreamcamError: the file cannot be read, or its hash is not the card's, or its weights are another network's.
    """
    if _sha256(path) != card.weights_sha256:
        raise StreamcamError(f"{path} is not the file that {card_path(path).name} speaks of: copy both again")
    state = load_state(str(path))
    whole, steps = _pop_network(state, INT8_WHOLE), _pop_network(state, INT8_STEPS)
    try:
        model.load_state_dict(state)
    except RuntimeError as e:
        raise StreamcamError(
            f"the weights in {path} are not those of {card.architecture}: names or shapes differ"
        ) from e
    model.int8 = None if whole is None else Int8(whole, steps)


def save(model: CamModel, path: Path, *, architecture: str, int8: Int8 | None, **card_keys: Any) -> "ModelCard":
    """Write weights and card. `streamcam.models.registry.save_checkpoint` describes the arguments, and checks them."""
    from streamcam.models.model_card import ClipCard, ModelCard

    spec = model.spec
    scale = model.heat_context.scale
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    if int8 is not None:
        for (graph, weights), network in ((INT8_WHOLE, int8.whole), (INT8_STEPS, int8.steps)):
            if network is not None:
                tensors |= {graph: _as_tensor(network.graph), weights: _as_tensor(network.weights)}
    with complete_or_absent(path) as partial:
        partial.write_bytes(as_safetensors(tensors))
        # The card is made before the file gets its name, so that a card with invalid values leaves no file.
        card = ModelCard(
            name=spec.name,
            architecture=architecture,
            classes=list(spec.classes),
            multi_label=spec.multi_label,
            temperature=spec.temperature,
            clip=ClipCard(**asdict(spec.clip_format)),
            heat_scale=None if scale is None else [float(s) for s in scale],
            weights_sha256=_sha256(partial),
            **card_keys,
        )
    write_json(card_path(path), card.model_dump(mode="json"))
    return card


def _pop_network(state: dict[str, Tensor], names: tuple[str, str]) -> Stored | None:
    """Take an OpenVINO network out of a checkpoint's tensors; None if it is not there as a whole."""
    parts = [state.pop(name).numpy().tobytes() for name in names if name in state]
    return Stored(*parts) if len(parts) == len(names) else None


def _as_tensor(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
