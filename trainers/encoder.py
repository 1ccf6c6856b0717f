"""Encoder: a pretrained text encoder reads the prompt, frozen, with low-rank adapters or fine-tuned whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np

from metamodel.errors import DataError
from metamodel.labels import LabeledPrompts, LabelSpace
from metamodel.protocols import Compression, FitContext, Metamodel
from metamodel.types import FloatArray
from trainers.artifacts.artifact import Artifact, TrainingFacts, prior_tensors
from trainers.artifacts.compression import compressed_metamodel
from trainers.artifacts.reading import component_from_fields, read_artifact
from trainers.fitting.calibration import Calibration, fit_calibrations
from trainers.fitting.dense import DenseMetamodel, DenseTrainer
from trainers.fitting.domain_folds import surprise_share
from trainers.fitting.network_options import NetworkOptions
from trainers.heads.family import HeadFamily
from trainers.inputs.dense import DenseInputs, computed, require_inputs
from trainers.inputs.encoder_carried import shorter_encoder, with_encoder
from trainers.inputs.encoder_files import MINILM
from trainers.inputs.encoder_joined import JoinedInputs
from trainers.inputs.encoder_loading import Encoder as LoadedEncoder
from trainers.inputs.encoder_loading import Pooling
from trainers.inputs.encoder_onnx import OnnxStates, carried_states
from trainers.inputs.encoder_states import EncoderStates
from trainers.inputs.encoder_tuned import TunedStates, TuningScheme, learned_tensors
from trainers.inputs.surface_features import SurfaceFeatures

Tuning = Literal["frozen", "lora", "full"]


@dataclass(frozen=True, kw_only=True)
class Encoder(DenseTrainer, NetworkOptions):
    """Linear heads on the states of a pretrained encoder, any of transformers' or `minilm`, which works offline.

    A long prompt is read in overlapping windows, whose states are averaged. `frozen` leaves the encoder as it is: its
    states are computed once a text, whatever is fitted on them. `lora` and `full` go on from there and move low-rank
    adapters (Hu et al., LoRA, 2021; the extra `lora`) or all weights, with validation prompts to stop; only what was
    learned is saved, and loading needs the same pretrained weights, checked by their hash.

    Attributes:
        tuning: What of the encoder is learned.
        model: `minilm` (the extra of that name), a local folder or a hub name.
        revision: Commit of a hub's model, 40 hex digits.
        depth: Share of the encoder's layers that are computed, from the first on; 1 for all. The middle carries over
            better than the end, which has been trained for another purpose, and costs half.
        pooling: `mean` over tokens, or `cls`, the first token's state.
        max_tokens: Tokens of a window, special tokens included; fewer where the encoder reads no more.
        overlap_tokens: Tokens that a window shares with the one before.
        max_windows: Most windows of a prompt, spread evenly over it.
        add_spread: Whether the windows' largest deviation from their average is read too; for `frozen` alone.
        with_surface: Whether the prompt's surface features are read too.
        lora_rank: Rank of the adapters.
        lora_dropout: Share of the adapters' inputs dropped in training.
        encoder_rate: Under `full`, the share of learning_rate at which pretrained weights move.

    >>> Encoder(tuning="lora", lora_rank=4).tuning
    'lora'
    """

    kind: ClassVar[str] = "encoder"

    tuning: Tuning = "frozen"
    model: str = MINILM
    revision: str = ""
    depth: float = 0.5
    pooling: Pooling = "mean"
    max_tokens: int = 256
    overlap_tokens: int = 64
    max_windows: int = 8
    add_spread: bool = False
    with_surface: bool = True
    lora_rank: int = 8
    lora_dropout: float = 0.1
    encoder_rate: float = 0.1
    learning_rate: float = 0.0003
    max_epochs: int = 4
    patience: int = 1
    batch_size: int = 32

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        DenseTrainer.__post_init__(self)
        NetworkOptions.__post_init__(self)
        _ = self.states
        if self.tuning not in get_args(Tuning):
            raise ValueError(f"tuning is {self.tuning!r}, must be one of {', '.join(get_args(Tuning))}")
        if self.tuning != "frozen" and (self.add_spread or self.head != "linear"):
            raise ValueError(
                f"tuning is {self.tuning!r}, head is {self.head!r} and add_spread is {self.add_spread}; fine-tuning "
                "needs head linear and add_spread false"
            )
        if self.lora_rank < 1:
            raise ValueError(f"lora_rank is {self.lora_rank}, must be at least 1")
        if not 0 <= self.lora_dropout < 1 or not 0 < self.encoder_rate <= 1:
            raise ValueError(
                f"lora_dropout is {self.lora_dropout}, must be from 0 to below 1; encoder_rate is {self.encoder_rate}, "
                "must be above 0 and at most 1"
            )

    @cached_property
    def states(self) -> EncoderStates:
        """Which encoder is read, and how."""
        return EncoderStates(
            model=self.model,
            revision=self.revision,
            depth=self.depth,
            pooling=self.pooling,
            max_tokens=self.max_tokens,
            overlap_tokens=self.overlap_tokens,
            max_windows=self.max_windows,
            add_spread=self.add_spread,
        )

    def inputs(self) -> DenseInputs:
        """Return what turns texts into numbers: the frozen encoder, and the surface beside it where asked for."""
        return self._joined(self.states)

    def _joined(self, states: DenseInputs) -> DenseInputs:
        return JoinedInputs(parts=(states, SurfaceFeatures())) if self.with_surface else states

    def families(self, space: LabelSpace) -> Mapping[str, HeadFamily]:
        """Return the families of heads to choose from; a network's heads begin as linear ones, whatever the space."""
        families = super().families(space)
        return families if self.tuning == "frozen" else {"linear": families["linear"]}

    def fit(self, train: LabeledPrompts, validation: LabeledPrompts, *, context: FitContext) -> EncoderMetamodel:
        """Fit linear heads on the frozen encoder, and fine-tune both together where that is asked for.

        Frozen, everything is chosen on left-out domains among all prompts. Fine-tuned, validation prompts say when to
        stop and calibrate.

        Raises:
            DataError: There is no training prompt.
            MetamodelError: The encoder cannot be loaded, or the loss is no number any more.
        """
        is_frozen = self.tuning == "frozen"
        probes = super().fit(train, validation if is_frozen else validation.take([]), context=context)
        artifact = replace(probes.artifact, borrowed_bits=self.states.borrowed_bits)
        if is_frozen:
            return EncoderMetamodel(artifact, self, self.inputs())
        return self._fine_tuned(artifact, train, validation, context)

    def _fine_tuned(
        self, probes: Artifact, train: LabeledPrompts, validation: LabeledPrompts, context: FitContext
    ) -> EncoderMetamodel:
        """Go on from the frozen encoder's linear probes."""
        from trainers.fitting.encoder_tuning import tuned_encoder

        further = self._further(train.texts), self._further(validation.texts)
        tuned = tuned_encoder(self.states, self._scheme(), probes, train, validation, further, self, context)
        heads = {name: tensor for i, head in enumerate(tuned.heads) for name, tensor in head.tensors(i).items()}
        raw = replace(
            probes,
            weights={
                **prior_tensors(train),
                "standardizer": probes.weights["standardizer"],
                **heads,
                **tuned.weights,
            },
            facts=TrainingFacts.of(train, validation, context),
            calibrations=dict.fromkeys(probes.calibrations, Calibration()),
        )
        fitted = self.with_learned(raw)
        surprise = surprise_share(train.domains, expects_shift=context.expects_shift)
        predictions = fitted.predict(validation.texts)
        calibrations = fit_calibrations(predictions, raw.priors, validation, surprise=surprise)
        return self.with_learned(replace(raw, calibrations=calibrations))

    def _further(self, texts: Sequence[str]) -> FloatArray:
        """Return the numbers that do not come from the encoder, [n, e]."""
        return computed(SurfaceFeatures(), texts) if self.with_surface else np.empty((len(texts), 0))

    def _scheme(self) -> TuningScheme:
        return TuningScheme(
            learned="lora" if self.tuning == "lora" else "full",
            rank=self.lora_rank,
            dropout=self.lora_dropout,
            encoder_rate=self.encoder_rate,
        )

    def with_learned(self, artifact: Artifact) -> EncoderMetamodel:
        """Return the metamodel whose encoder has the artifact's learned weights."""
        states = TunedStates(states=self.states, scheme=self._scheme(), weights=learned_tensors(artifact))
        encoder = states.encoder  # read and checked now, not with the first prompt
        return EncoderMetamodel(artifact, self, self._joined(states), encoder=encoder)

    def with_carried(self, artifact: Artifact, states: OnnxStates, folder: Path) -> EncoderMetamodel:
        """Return the metamodel that reads with the encoder that its artifact carries.

        Raises:
            DataError: What else it reads is another version here.
        """
        further = f" + {SurfaceFeatures().identity}" if self.with_surface else ""
        require_inputs(folder, artifact, f"{states.stands_for}{further}")
        return EncoderMetamodel(artifact, self, self._joined(states))

    @classmethod
    def load(cls, folder: Path) -> EncoderMetamodel:
        """Read back what `save` or `save_carried` wrote.

        Raises:
            DataError: The folder does not hold a metamodel of this kind, or the encoder here is another one.
            MetamodelError: The encoder, or what runs a carried one, is not here.
        """
        artifact = read_artifact(folder, kind=cls.kind)
        trainer = component_from_fields(cls, artifact.fields)
        carried = carried_states(artifact)
        if carried is not None:
            return trainer.with_carried(artifact, carried, folder)
        inputs = trainer.inputs()
        require_inputs(folder, artifact, inputs.identity)
        return (
            EncoderMetamodel(artifact, trainer, inputs)
            if trainer.tuning == "frozen"
            else trainer.with_learned(artifact)
        )


class EncoderMetamodel(DenseMetamodel):
    """Heads on an encoder's states, which can take the encoder along."""

    def __init__(
        self, artifact: Artifact, trainer: Encoder, inputs: DenseInputs, *, encoder: LoadedEncoder | None = None
    ) -> None:
        super().__init__(artifact, trainer, inputs)
        self._trainer, self._tuned = trainer, encoder

    def compressed(self, compression: Compression) -> Metamodel:
        """Return a variant with shorter weights, those of a carried encoder included."""
        return compressed_metamodel(shorter_encoder(self.artifact, compression), compression)

    def save_carried(self, folder: Path) -> None:
        """Write what `save` writes, and the encoder; `load` then needs onnxruntime alone (extra `onnx`).

        Raises:
            DataError: A head has trees: they split at states of training prompts, and an exported encoder's states
                differ in the last bits, so that a prompt may fall on the other side.
            MetamodelError: The encoder cannot be exported, or a package of the extra is not installed.
        """
        if self.artifact.files:
            self.save(folder)
            return
        if self._trainer.head != "linear":
            raise DataError(
                f"metamodel {self.artifact.facts.name} has head {self._trainer.head!r}, and trees on an encoder's "
                "states cannot be carried with the same predictions: train with head: linear"
            )
        from trainers.inputs.encoder_onnx_export import exported_states

        states = self._trainer.states
        exported = exported_states(
            self._tuned or states.load(),
            pooling=self._trainer.pooling,
            add_spread=self._trainer.add_spread,
            stands_for=states.identity,
        )
        with_encoder(self.artifact, exported).save(folder)
