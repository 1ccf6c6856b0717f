"""A fine-tuned encoder's view of a prompt: the pretrained weights with what was learned put in.

Shapes: n = texts, h = the encoder's width.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from metamodel.errors import DataError, MetamodelError
from metamodel.quiet import quiet_transformers
from trainers.artifacts.artifact import Artifact, Tensor
from trainers.inputs.encoder_loading import Encoder
from trainers.inputs.encoder_states import EncoderStates, states_of

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn
    from transformers import PreTrainedModel

LearnedWeights = Literal["lora", "full"]
PREFIX = "encoder."
_ADAPTER = "lora_"


@dataclass(frozen=True, kw_only=True)
class TuningScheme:
    """Which of an encoder's weights move.

    Attributes:
        learned: `lora` for low-rank adapters of all linear layers, `full` for all weights.
        rank: Of the adapters.
        dropout: Share of the adapters' inputs dropped in training.
        encoder_rate: Share of the learning rate at which pretrained weights move; adapters take all of it.
    """

    learned: LearnedWeights
    rank: int
    dropout: float
    encoder_rate: float

    def is_learned(self, name: str) -> bool:
        """Say whether the parameter of this name moves."""
        return self.learned == "full" or _ADAPTER in name

    def learned_of(self, module: nn.Module) -> dict[str, Tensor]:
        """Return what was learned of an encoder, by tensor."""
        return {
            f"{PREFIX}{name}": parameter.detach().cpu().float().numpy()
            for name, parameter in module.named_parameters()
            if self.is_learned(name)
        }


@dataclass(frozen=True, kw_only=True)
class TunedStates:
    """`EncoderStates` with learned weights.

    Attributes:
        states: The frozen encoder.
        scheme: What was learned.
        weights: The learned tensors, as `TuningScheme.learned_of` names them.
    """

    states: EncoderStates
    scheme: TuningScheme
    weights: Mapping[str, Tensor]

    @cached_property
    def identity(self) -> str:
        """All that the numbers depend on, the learned weights by their hash."""
        digest = blake2b(digest_size=16)
        for name, tensor in sorted(self.weights.items()):
            digest.update(f"{name} {tensor.shape} ".encode() + np.ascontiguousarray(tensor).tobytes())
        return f"{self.states.identity} tuned {self.scheme.learned} {digest.hexdigest()}"

    @property
    def width(self) -> int:
        """Numbers a text (h)."""
        return self.states.width

    def compute(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the states of each text, [n, h]."""
        if not len(texts):
            return np.empty((0, self.width), dtype=np.float32)
        return states_of(self.encoder, texts, self.states.pooling)

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder with the learned weights in it.

        Raises:
            DataError: A tensor is missing, of another shape or not finite.
            MetamodelError: peft is needed and not installed.
        """
        import torch

        encoder = self.states.load()
        if self.scheme.learned == "full":
            self._put_into(encoder.module)
            return encoder
        with torch.random.fork_rng(devices=[]):  # adapters are drawn at random before the learned ones are put in
            adapted = with_adapters(encoder.module, self.scheme)
        self._put_into(adapted)
        merged: PreTrainedModel = adapted.merge_and_unload()
        return encoder._replace(module=merged.eval().requires_grad_(requires_grad=False))

    def _put_into(self, module: nn.Module) -> None:
        import torch

        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if self.scheme.is_learned(name):
                    parameter.copy_(torch.from_numpy(self._learned(f"{PREFIX}{name}", tuple(parameter.shape))))

    def _learned(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        tensor = self.weights.get(name)
        if tensor is None or tensor.shape != shape or not np.isfinite(tensor).all():
            got = "missing" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
            raise DataError(f"weights.safetensors: {name} is {got}, must be finite and {list(shape)}: train again")
        return tensor.astype(np.float32)


def learned_tensors(artifact: Artifact) -> dict[str, Tensor]:
    """Return the tensors of an artifact that `TuningScheme.learned_of` named."""
    return {name: tensor for name, tensor in artifact.weights.items() if name.startswith(PREFIX)}


def with_adapters(module: PreTrainedModel, scheme: TuningScheme) -> PeftModel:
    """Return the encoder with low-rank adapters beside all of its linear layers, which alone can be trained.

    Raises:
        MetamodelError: peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise MetamodelError(
            "tuning is 'lora', which needs peft, and that is not installed: pip install 'metamodel[lora]'"
        ) from error
    # Twice the rank is the usual scale: what is learned then hardly depends on the rank.
    config = LoraConfig(
        r=scheme.rank, lora_alpha=2 * scheme.rank, lora_dropout=scheme.dropout, target_modules="all-linear"
    )
    with quiet_transformers(), warnings.catch_warnings():
        # peft asks transformers for attributes by their old names.
        warnings.simplefilter("ignore", FutureWarning)
        return get_peft_model(module, config)
