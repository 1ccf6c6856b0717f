"""Reader: a causal language model reads the prompt once, and how it takes it says what will happen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias, get_args

from metamodel.errors import ConfigError
from metamodel.labels import LabeledPrompts, LabelSpace
from metamodel.protocols import FitContext, ReadsTexts
from metamodel.types import JSONObject
from trainers.artifacts.artifact import JSON
from trainers.artifacts.reading import HOLDS_SPECS, read_artifact
from trainers.fitting.dense import DenseMetamodel, DenseTrainer
from trainers.heads.family import HeadFamily, LinearFamily
from trainers.heads.probes import ColumnsFamily, DifferenceFamily
from trainers.inputs.reader_inputs import ReaderInputs, ReaderLayout, StateKind, measured_layout
from trainers.inputs.reader_spec import as_mapping, built_primary, remember_trusted, require_trusted

Probe: TypeAlias = Literal["linear", "difference", "both"]


def _bundled_reader() -> JSONObject:
    return {"kind": "zoo", "model": "gpt2"}


@dataclass(frozen=True, kw_only=True)
class Reader(DenseTrainer):
    """Probes of what a reading model makes of the prompt: its surprisal profile and the states of its layers.

    One forward pass a prompt, of the prompt alone. The reader is any primary model that reads texts: a bundled model, a
    folder, a name on the hub. It may be the primary model under study itself: its state after the prompt, before the
    first token. Such a metamodel still sees the input alone, but a prediction costs a prefill of the primary model and
    it cannot screen a model that it has no weights of; so report it apart. The document `reader` of a saved metamodel
    says who reads (`identity`, which equals the primary model's where that is the reader) and that `costs_prefill`.

    Candidates: the profile alone, under the `head` that is named; with each layer's states, a logistic regression or
    the difference of means. Which layer, which probe and how much regularization is chosen on left-out domains.

    Where the reader shows no states (some recurrent models), the profile is all there is. The reader's weights are not
    kept in the saved metamodel: their size is among `borrowed_bits`, and loading checks that they are the same.

    Source: question-only probes of Cencerrado et al., No Answer Needed (2025), and Kadavath et al., Language Models
    (Mostly) Know What They Know (2022); the profile is ours.

    Attributes:
        primary: Spec of the reading primary model.
        max_tokens: Most tokens read of a prompt; of a longer one, the beginning and the end.
        states: Which states of a layer are read: after the last token, their mean over all tokens, both or none.
        layers: Layers by their position, the embeddings being 0; empty takes up to four, evenly spread.
        probe: Which probes of the states are tried.

    >>> Reader(primary={"kind": "zoo", "model": "lstm"}, states="none").primary["model"]
    'lstm'
    """

    kind: ClassVar[str] = "reader"

    primary: str | JSONObject = field(default_factory=_bundled_reader, metadata={HOLDS_SPECS: True})
    max_tokens: int = 512
    states: StateKind = "both"
    layers: tuple[int, ...] = ()
    probe: Probe = "both"

    def __post_init__(self) -> None:
        """Refuse values that mean nothing, and a primary model that does not read texts."""
        super().__post_init__()
        problems = []
        if self.max_tokens < 1:
            problems.append(f"max_tokens is {self.max_tokens}, must be at least 1")
        if self.states not in get_args(StateKind):
            problems.append(f"states is {self.states!r}, must be one of {', '.join(get_args(StateKind))}")
        if self.probe not in get_args(Probe):
            problems.append(f"probe is {self.probe!r}, must be one of {', '.join(get_args(Probe))}")
        if not all(type(layer) is int and layer >= 0 for layer in self.layers):
            problems.append(f"layers are {list(self.layers)}, must be whole numbers of 0 (the embeddings) or more")
        if problems:
            raise ValueError("; ".join(problems))
        object.__setattr__(self, "primary", as_mapping(self.primary))  # one way to write a spec, so one hash of it
        self._reader  # noqa: B018 - refuses a spec that names no reader

    def __hash__(self) -> int:
        """Hash the fields; a spec is a mapping, which has no hash of its own."""
        return hash(json.dumps(asdict(self), sort_keys=True))

    def inputs(self) -> ReaderInputs:
        """Return what turns texts into numbers; loads the reader."""
        return ReaderInputs(reader=self._reader, max_tokens=self.max_tokens, kind=self.states, layout=self._layout)

    def families(self, space: LabelSpace) -> Mapping[str, HeadFamily]:
        """Return the heads on the profile alone, then those that also see one layer."""
        layout, strengths = self._layout, tuple(sorted(self.C_grid))
        profile = tuple(layout.profile)
        families: dict[str, HeadFamily] = {
            f"profile_{name}": ColumnsFamily(family=family, columns=profile)
            for name, family in super().families(space).items()
        }
        probes: dict[Probe, HeadFamily] = {
            "difference": DifferenceFamily(n_plain=layout.n_profile, strengths=strengths),
            "linear": LinearFamily(strengths=strengths),
        }
        for name, family in probes.items():
            for layer in layout.layers if self.probe in (name, "both") else ():
                columns = (*profile, *layout.states(layer))
                families[f"{name}_{layer}"] = ColumnsFamily(family=family, columns=columns)
        return families

    def fit(self, train: LabeledPrompts, validation: LabeledPrompts, *, context: FitContext) -> DenseMetamodel:
        """Fit one probe a behavior; layer, probe, strength and calibration are chosen on left-out domains.

        Raises:
            DataError: There is no training prompt.
            MetamodelError: The reader cannot be loaded.
        """
        fitted = super().fit(train, validation, context=context)
        remember_trusted(as_mapping(self.primary))
        identity = self._reader.identity
        told: dict[str, JSON] = {"identity": identity, "costs_prefill": True, "layers": list(self._layout.layers)}
        size = getattr(self._reader, "weight_bits", None)
        borrowed = {identity: float(size)} if isinstance(size, float) else {}
        artifact = replace(
            fitted.artifact,
            documents={**fitted.artifact.documents, "reader": told},
            borrowed_bits={**fitted.artifact.borrowed_bits, **borrowed},
        )
        return DenseMetamodel(artifact, self, self.inputs())

    @classmethod
    def load(cls, folder: Path) -> DenseMetamodel:
        """Read back what `save` wrote.

        Raises:
            DataError: The folder does not hold a metamodel of this kind, or its reader runs code that is not trusted.
        """
        require_trusted(read_artifact(folder, kind=cls.kind).fields.get("primary"), folder=folder)
        return super().load(folder)

    @cached_property
    def _reader(self) -> ReadsTexts:
        primary = built_primary(as_mapping(self.primary), at="primary")
        if not isinstance(primary, ReadsTexts):
            raise ConfigError(
                [f"primary: {as_mapping(self.primary).get('kind')} cannot read a text; use transformers or zoo"],
                source="reader",
            )
        return primary

    @cached_property
    def _layout(self) -> ReaderLayout:
        return measured_layout(self._reader, kind=self.states, layers=self.layers, max_tokens=self.max_tokens)
