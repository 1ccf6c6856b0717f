"""A trained metamodel on disk: spec.json, weights.safetensors, calibration.json, other JSON documents, README.md.

One that is made of others keeps each in a folder of its own below members/.

Nothing is pickled. A folder may come from anyone, so whatever is read from it is checked before it is used.
"""

from __future__ import annotations

import json
import platform
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from metamodel.errors import DataError
from metamodel.labels import LabeledPrompts, LabelSpace, label_space_to_dict
from metamodel.metamodels import save_carried
from metamodel.protocols import Compression, FitContext, Metamodel
from metamodel.types import FloatArray, Predictions
from trainers.artifacts.card import card_text
from trainers.artifacts.carried import described_files
from trainers.artifacts.compression_codes import text_bits
from trainers.artifacts.compression_packing import PackedWeights, coded_tensor_bits, stored_tensors
from trainers.fitting.calibration import AnyCalibration, apply_calibrations
from trainers.heads.outcomes import outcome_shares, smoothed_prior

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None
Tensor: TypeAlias = NDArray[np.float64] | NDArray[np.float32] | NDArray[np.int64] | NDArray[np.int32]

SCHEMA_VERSION = 2
SPEC_FILE, WEIGHTS_FILE, CALIBRATION_FILE, CARD_FILE = (
    "spec.json",
    "weights.safetensors",
    "calibration.json",
    "README.md",
)
MEMBERS_FOLDER = "members"
_PACKAGES = ("metamodel", "lightning", "numpy", "safetensors", "scikit-learn", "scipy", "torch")


@cache
def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that predictions may depend on."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "absent"
    return versions


@dataclass(frozen=True, kw_only=True)
class TrainingFacts:
    """What a metamodel was trained on.

    Attributes:
        name: Name of the metamodel.
        seed: Seed of the fit.
        n_prompts: Training prompts.
        n_validation_prompts: Prompts that stopped and calibrated.
        domains: Training prompts of each domain.
        n_labeled: Training prompts with a label, of each behavior.
    """

    name: str
    seed: int
    n_prompts: int
    n_validation_prompts: int
    domains: dict[str, int]
    n_labeled: dict[str, int]

    @classmethod
    def of(cls, train: LabeledPrompts, validation: LabeledPrompts, context: FitContext) -> TrainingFacts:
        """Count what a fit was given."""
        return cls(
            name=context.name,
            seed=context.seed,
            n_prompts=len(train),
            n_validation_prompts=len(validation),
            domains=dict(sorted(Counter(train.domains).items())),
            n_labeled={name: len(outcome_shares(table).rows) for name, table in train.labels.items()},
        )


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """Everything that a folder holds, in memory.

    Attributes:
        kind: The trainer's registered name.
        fields: The trainer's fields.
        spaces: Label space of each behavior.
        facts: What it was trained on.
        weights: Named tensors. `prior.<i>` is the training prior of behavior i, in the order of `spaces`.
        calibrations: Calibration of each behavior.
        documents: Further JSON, each in a file of its own, by the file's stem.
        borrowed_bits: Size in bits of each pretrained part that the predictions depend on and the folder does not hold,
            by its name and content hash. What the members borrow is added to it.
        members: Metamodels that this one is made of.
        files: Pretrained parts that the folder holds after all, by the file's name, see `trainers.artifacts.carried`.
        created_utc: When it was fitted, ISO 8601.
        packages: Versions of the packages that fitted it.
    """

    kind: str
    fields: Mapping[str, JSON]
    spaces: Mapping[str, LabelSpace]
    facts: TrainingFacts
    weights: Mapping[str, Tensor]
    calibrations: Mapping[str, AnyCalibration]
    documents: Mapping[str, JSON] = field(default_factory=dict)
    borrowed_bits: Mapping[str, float] = field(default_factory=dict)
    members: tuple[Metamodel, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    created_utc: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    packages: Mapping[str, str] = field(default_factory=installed_versions)

    def __post_init__(self) -> None:
        """Take in what the members borrow; a part that several borrow has one name and counts once."""
        borrowed = {**self.borrowed_bits}
        for member in self.members:
            borrowed |= borrowed_bits_of(member)
        object.__setattr__(self, "borrowed_bits", borrowed)

    @cached_property
    def priors(self) -> dict[str, FloatArray]:
        """Training prior of each behavior, [c].

        Raises:
            DataError: One is missing or is no distribution without zeros.
        """
        priors = {}
        for index, (name, space) in enumerate(self.spaces.items()):
            prior = self.floats(f"prior.{index}", (len(space.outcomes),))
            if (prior <= 0).any() or abs(prior.sum() - 1) > 1e-6:  # noqa: PLR2004 - rounding
                raise DataError(f"{WEIGHTS_FILE}: prior.{index} is no distribution without zeros: train again")
            priors[name] = prior
        return priors

    def floats(self, name: str, shape: tuple[int | None, ...]) -> FloatArray:
        """Return a tensor of finite floats in double precision; None in `shape` allows any length.

        Raises:
            DataError: The tensor is missing, of another type or shape, or not finite.
        """
        tensor = self._tensor(name, shape, kind="f")
        if not np.isfinite(tensor).all():
            raise DataError(f"{WEIGHTS_FILE}: {name} holds values that are not finite: train again")
        return tensor.astype(np.float64)

    def indices(self, name: str, shape: tuple[int | None, ...], *, below: int) -> NDArray[np.int64]:
        """Return a tensor of rising whole numbers from 0 to `below` - 1.

        Raises:
            DataError: The tensor is missing, of another type or shape, out of range or not rising.
        """
        tensor = self._tensor(name, shape, kind="i").astype(np.int64)
        if len(tensor) and (tensor[0] < 0 or tensor[-1] >= below or (np.diff(tensor) <= 0).any()):
            raise DataError(f"{WEIGHTS_FILE}: {name} must rise from 0 or more to at most {below - 1}: train again")
        return tensor

    def _tensor(self, name: str, shape: tuple[int | None, ...], *, kind: str) -> Tensor:
        tensor = self.weights.get(name)
        if tensor is None:
            raise DataError(f"{WEIGHTS_FILE}: tensor {name} is missing, there are {', '.join(sorted(self.weights))}")
        fits = len(tensor.shape) == len(shape) and all(
            want is None or got == want for got, want in zip(tensor.shape, shape, strict=True)
        )
        if tensor.dtype.kind != kind or not fits:
            wanted = [str(length) if length is not None else "any" for length in shape]
            raise DataError(
                f"{WEIGHTS_FILE}: {name} is {tensor.dtype} {list(tensor.shape)}, must be of kind {kind!r} and of shape "
                f"[{', '.join(wanted)}]: train again"
            )
        return tensor

    @property
    def description_bits(self) -> float:
        """Bits of what the predictions depend on, as stored: 8 a byte, nothing compressed.

        The tensors' own bytes (weights are stored as 32-bit floats, indices as 32-bit integers, the few priors and
        scales as 64-bit floats) and the JSON text of fields, label spaces, calibration and further documents.
        Versions, dates, the card and file headers are left out. No entropy coding: an upper bound. What is borrowed
        from a pretrained model is not counted here: `borrowed_bits` says how long that is; carried files and members
        are counted. Of a compressed artifact it is `coded_bits`.
        """
        n_bytes = sum(tensor.nbytes for tensor in self.weights.values()) + sum(map(len, self.files.values()))
        is_packed = isinstance(self.weights, PackedWeights)
        own_bits = self._own_coded_bits if is_packed else 8.0 * (n_bytes + sum(map(len, self._described_texts)))
        return own_bits + sum(member.description_bits for member in self.members)

    @property
    def coded_bits(self) -> float:
        """Bits of the same under lossless codes, see `trainers.artifacts.compression_codes`; members are counted."""
        lengths = [one.coded_bits if isinstance(one, StoredMetamodel) else one.description_bits for one in self.members]
        return self._own_coded_bits + sum(lengths)

    @property
    def _own_coded_bits(self) -> float:
        weights = self.weights
        tensor_bits = weights.coded_bits if isinstance(weights, PackedWeights) else coded_tensor_bits(weights)
        return tensor_bits + text_bits(self._described_texts) + 8.0 * sum(map(len, self.files.values()))

    @property
    def _described_texts(self) -> list[str]:
        texts = [dict(self.fields), self.space_descriptions, self.calibration_descriptions, *self.documents.values()]
        return [json.dumps(text) for text in texts]

    @property
    def space_descriptions(self) -> dict[str, dict[str, object]]:
        """JSON-ready label spaces."""
        return {name: label_space_to_dict(space) for name, space in self.spaces.items()}

    @property
    def calibration_descriptions(self) -> dict[str, dict[str, object]]:
        """JSON-ready calibrations."""
        return {name: asdict(calibration) for name, calibration in self.calibrations.items()}

    def save(self, folder: Path, *, carries_members: bool = False) -> None:
        """Write the files; the spec comes last, so that a folder without one was not finished.

        Args:
            folder: An existing folder.
            carries_members: Whether the members take along what they borrow.

        Raises:
            DataError: A member shall take along what it borrows, and cannot.
        """
        from safetensors.numpy import save_file

        (folder / SPEC_FILE).unlink(missing_ok=True)
        tensors = stored_tensors(self.weights)
        save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, folder / WEIGHTS_FILE)
        for stem, document in self.documents.items():
            _write_json(folder / f"{stem}.json", document)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        _write_json(folder / CALIBRATION_FILE, {"behaviors": self.calibration_descriptions})
        for position, member in enumerate(self.members):
            place = folder / MEMBERS_FOLDER / str(position)
            place.mkdir(parents=True, exist_ok=True)
            if carries_members:
                save_carried(member, place)
            else:
                member.save(place)
        outcomes = {name: space.outcomes for name, space in self.spaces.items()}
        card = card_text(self.kind, asdict(self.facts), outcomes, n_members=len(self.members))
        (folder / CARD_FILE).write_text(card, encoding="utf-8", errors="backslashreplace")
        borrowed = {} if carries_members else dict(self.borrowed_bits)
        _write_json(folder / SPEC_FILE, {**self._spec(), "borrowed_bits": borrowed})

    def _spec(self) -> dict[str, object]:
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "fields": dict(self.fields),
            "behaviors": self.space_descriptions,
            "training": asdict(self.facts),
            "documents": sorted(self.documents),
            "n_members": len(self.members),
            "files": described_files(self.files),
            "created_utc": self.created_utc,
            "packages": dict(self.packages),
        }


class StoredMetamodel(ABC):
    """A metamodel that is a function of its artifact; a subclass reads the tensors and predicts."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.priors = artifact.priors

    @property
    def spaces(self) -> Mapping[str, LabelSpace]:
        """Label space of each behavior."""
        return self.artifact.spaces

    @property
    def description_bits(self) -> float:
        """Length of what `save` writes that the predictions depend on, see `Artifact.description_bits`."""
        return self.artifact.description_bits

    @property
    def borrowed_bits(self) -> Mapping[str, float]:
        """Size in bits of each pretrained part that is not saved with it, by name."""
        return self.artifact.borrowed_bits

    @property
    def coded_bits(self) -> float:
        """The same length under lossless codes, see `Artifact.coded_bits`."""
        return self.artifact.coded_bits

    def compressed(self, compression: Compression) -> Metamodel:
        """Return a variant with shorter weights, see `trainers.artifacts.compression`."""
        from trainers.artifacts.compression import compressed_metamodel

        return compressed_metamodel(self.artifact, compression)

    def save(self, folder: Path) -> None:
        """Write the artifact into an existing folder."""
        self.artifact.save(folder)

    @abstractmethod
    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:
        """Return outcome probabilities of every behavior, [n, c] each."""

    def calibrated(self, predictions: Predictions) -> Predictions:
        """Apply each behavior's calibration."""
        return apply_calibrations(self.artifact.calibrations, predictions, self.priors)


def borrowed_bits_of(metamodel: Metamodel) -> dict[str, float]:
    """Return what a metamodel borrows; nothing is known of one that a third party keeps in another way."""
    return dict(metamodel.artifact.borrowed_bits) if isinstance(metamodel, StoredMetamodel) else {}


def prior_tensors(train: LabeledPrompts) -> dict[str, Tensor]:
    """Return the smoothed training prior of each behavior under the names that `Artifact.priors` reads."""
    return {
        f"prior.{index}": smoothed_prior(outcome_shares(table).values)
        for index, table in enumerate(train.labels.values())
    }


def label_spaces(train: LabeledPrompts) -> dict[str, LabelSpace]:
    """Return the label space of each behavior."""
    return {name: table.space for name, table in train.labels.items()}


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
