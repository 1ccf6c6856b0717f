"""What one run brings into a comparison: names, label spaces, labels and stored predictions.

Shapes: m = judged prompts, c = outcomes of a behavior.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from metamodel.compare.names import Kind
from metamodel.errors import DataError, RunError
from metamodel.labels import LabelSpace, label_space_from_dict
from metamodel.metric_rows import SPLITS, Split
from metamodel.store.provenance import JSON
from metamodel.types import FloatArray

if TYPE_CHECKING:
    import pandas as pd

    from metamodel.store.run_directory import RunDirectory


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What one metamodel predicted of one behavior on one kind of split.

    Attributes:
        domain_of: Domain of each judged prompt, by prompt id, in the order of `probabilities`.
        probabilities: Outcome probabilities, [m, c].
    """

    domain_of: pd.Series[str]
    probabilities: FloatArray


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two runs.

    Attributes:
        run: The run.
        names: Names of its primary models, behaviors and metamodels that were judged.
        spaces: Label space of each behavior.
        identities: Which weights each primary model is, by its name.
    """

    run: RunDirectory
    names: Mapping[Kind, tuple[str, ...]]
    spaces: Mapping[str, LabelSpace]
    identities: Mapping[str, str]

    def labels(self, behavior: str, primary: str) -> pd.DataFrame:
        """Return prompt_id, key and value of every label of a behavior of a primary model."""
        table = self.run.read("labels", columns=["key", "prompt_id", "primary", "value"], shard_names=[behavior])
        frame: pd.DataFrame = table.to_pandas()
        return frame.loc[frame["primary"] == primary, ["prompt_id", "key", "value"]]

    def predictions(self, primary: str) -> dict[tuple[str, str, Split], Predicted]:
        """Return what was predicted of a primary model, by metamodel, behavior and split.

        Raises:
            DataError: Predictions of one behavior have different numbers of outcomes.
        """
        table = self.run.read("predictions", shard_names=[primary])
        frame = table.select(["metamodel", "behavior", "split", "domain", "prompt_id"]).to_pandas()
        column = table["probabilities"].combine_chunks()
        found: dict[tuple[str, str, Split], Predicted] = {}
        for (metamodel, behavior, split), rows in frame.groupby(["metamodel", "behavior", "split"]).indices.items():
            known = next((one for one in SPLITS if one == split), None)
            if known is None:
                raise DataError(f"{self.run.path}: predictions of split {split!r}, must be one of {', '.join(SPLITS)}")
            values = column.take(rows)
            flat = values.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
            if len(flat) % len(rows) or len(set(values.value_lengths().to_pylist())) != 1:
                raise DataError(f"{self.run.path}: predictions of {behavior} by {metamodel} differ in length")
            mine = frame.iloc[rows]
            found[metamodel, behavior, known] = Predicted(
                domain_of=mine.set_index("prompt_id")["domain"], probabilities=flat.reshape(len(rows), -1)
            )
        return found


def open_side(run: RunDirectory) -> Side:
    """Read what a run can be compared by.

    Raises:
        RunError: The run has not been evaluated.
    """
    table = run.read("predictions", columns=["primary", "behavior", "metamodel"])
    if table.num_rows == 0:
        raise RunError(f"{run.path} has no predictions: run `metamodel evaluate` first")
    stored, identities = run.facts.get("behaviors"), run.facts.get("primaries")
    described: Mapping[str, JSON] = stored if isinstance(stored, dict) else {}
    names: dict[Kind, tuple[str, ...]] = {
        "primary": tuple(table["primary"].unique().to_pylist()),
        "behavior": tuple(table["behavior"].unique().to_pylist()),
        "metamodel": tuple(table["metamodel"].unique().to_pylist()),
    }
    missing = [name for name in names["behavior"] if name not in described]
    if missing:
        raise RunError(f"{run.path} has no labels of {', '.join(missing)}: run `metamodel featurize` first")
    return Side(
        run=run,
        names=names,
        spaces={name: _space(run, name, described[name]) for name in names["behavior"]},
        identities={str(k): str(v) for k, v in identities.items()} if isinstance(identities, dict) else {},
    )


def _space(run: RunDirectory, behavior: str, stored: JSON) -> LabelSpace:
    space = stored.get("space") if isinstance(stored, Mapping) else None
    if not isinstance(space, Mapping):
        raise RunError(f"{run.path}/run.json does not say the label space of {behavior}: run `metamodel featurize`")
    return label_space_from_dict(space)
