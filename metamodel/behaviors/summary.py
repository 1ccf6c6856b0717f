"""Summarize the labels of a run: base rates by domain and primary model, co-occurrence, examples.

Changed versions of prompts are left out: they define labels of the prompts that they were made from.

Shapes: n = outputs of one primary model, p = prompts, b = behaviors, c = outcomes of a label space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from metamodel.behaviors.cooccurrence import CoOccurrence, co_occurrence
from metamodel.behaviors.rates import Rate, rate_of
from metamodel.dataset import read_prompts
from metamodel.errors import RunError
from metamodel.labels import LabelSpace, label_space_from_dict
from metamodel.store.run_directory import RunDirectory
from metamodel.types import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

# Of a label space with more outcomes, so many are shown, from the lowest to the highest that occur.
MOST_OUTCOMES_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class LabelExample:
    """An output that has a label. Prompt and output are untrusted text.

    Attributes:
        behavior: Name of the behavior.
        outcome: Name of the label's outcome.
        value: The label.
        primary: Name of the primary model.
        domain: The prompt's domain.
        prompt: What the primary model read.
        output: What it wrote; None where only the label is known.
    """

    behavior: str
    outcome: str
    value: float
    primary: str
    domain: str
    prompt: str
    output: str | None


@dataclass(frozen=True, kw_only=True)
class BehaviorSummary:
    """What a run's labels say.

    Attributes:
        spaces: Label space of each behavior, by name.
        primaries: Names of the primary models.
        domains: Names of the domains, in the order of the prompts.
        rates: One a behavior, primary model and domain, and one over all domains (domain None).
        co_occurrences: One a primary model.
        examples: Outputs of each outcome that occurs.
    """

    spaces: Mapping[str, LabelSpace]
    primaries: Sequence[str]
    domains: Sequence[str]
    rates: Sequence[Rate]
    co_occurrences: Sequence[CoOccurrence]
    examples: Sequence[LabelExample]

    def rate(self, behavior: str, primary: str, domain: str | None) -> Rate | None:
        """Return one rate; None where there is no such label."""
        return next(
            (one for one in self.rates if (one.behavior, one.primary, one.domain) == (behavior, primary, domain)), None
        )

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return {
            "behaviors": {name: asdict(space) for name, space in self.spaces.items()},
            "primaries": list(self.primaries),
            "domains": list(self.domains),
            "base_rates": [asdict(rate) for rate in self.rates],
            "co_occurrence": [one.to_dict() for one in self.co_occurrences],
            "examples": [asdict(example) for example in self.examples],
        }


@dataclass(frozen=True, kw_only=True)
class _Labels:
    """One behavior's labels of one primary model's outputs, aligned over all behaviors: NaN where one has none."""

    keys: Sequence[str]
    prompt_rows: IntArray  # [n], row of `prompts`
    labels: Mapping[str, FloatArray]  # [n] a behavior


def summarize_behaviors(run: RunDirectory) -> BehaviorSummary:
    """Read a run's labels and say what its primary models do.

    Raises:
        RunError: Nothing has been labeled.
    """
    spaces = _stored_spaces(run)
    prompts = read_prompts(run)
    prompts = prompts[prompts["origin_id"].isna()].reset_index(drop=True)
    labels = _read_labels(run, list(spaces), prompts)
    domains = list(dict.fromkeys(prompts["domain"]))
    domain_codes = prompts["domain"].map({name: code for code, name in enumerate(domains)}).to_numpy(dtype=np.int64)
    rates, together, chosen = [], [], []
    for primary, found in labels.items():
        codes = {name: spaces[name].encode(values) for name, values in found.labels.items()}
        here = domain_codes[found.prompt_rows]
        for name, values in found.labels.items():
            place = {"behavior": name, "primary": primary}
            rates.append(rate_of(values, found.prompt_rows, spaces[name], **place, domain=None))
            for code, domain in enumerate(domains):
                rows = np.flatnonzero(here == code)
                rates.append(rate_of(values[rows], found.prompt_rows[rows], spaces[name], **place, domain=domain))
            chosen += _chosen(name, primary, spaces[name], codes[name], values, found, here)
        together.append(
            co_occurrence(primary, codes, here, {name: len(space.outcomes) for name, space in spaces.items()})
        )
    return BehaviorSummary(
        spaces=spaces,
        primaries=list(labels),
        domains=domains,
        rates=[rate for rate in rates if rate.n_labels],
        co_occurrences=together,
        examples=_with_texts(run, chosen, prompts),
    )


def _stored_spaces(run: RunDirectory) -> dict[str, LabelSpace]:
    stored, labeled = run.facts.get("behaviors"), set(run.shard_names("labels"))
    facts = stored if isinstance(stored, dict) else {}
    listed = run.config.get("behaviors")
    wanted = [str(entry["name"]) for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    found = {name: label_space_from_dict(facts[name]["space"]) for name in wanted if name in facts and name in labeled}
    if not found:
        raise RunError(f"{run.path} has no labels: run `metamodel featurize` first")
    return found


def _read_labels(run: RunDirectory, names: Sequence[str], prompts: pd.DataFrame) -> dict[str, _Labels]:
    import pandas as pd

    row_of = pd.Index(prompts["prompt_id"])
    columns = ["key", "prompt_id", "primary", "value"]
    frames = {name: run.read("labels", columns=columns, shard_names=[name]).to_pandas() for name in names}
    everything = pd.concat([frame[columns[:3]] for frame in frames.values()]).drop_duplicates("key")
    everything = everything[everything["prompt_id"].isin(row_of)]
    labels = {}
    for primary, rows in everything.groupby("primary", sort=False):
        index = pd.Index(rows["key"])
        values = {name: frame.set_index("key")["value"].reindex(index) for name, frame in frames.items()}
        labels[str(primary)] = _Labels(
            keys=rows["key"].tolist(),
            prompt_rows=row_of.get_indexer(rows["prompt_id"]),
            labels={name: column.to_numpy(dtype=np.float64, na_value=np.nan) for name, column in values.items()},
        )
    return labels


def _chosen(
    name: str,
    primary: str,
    space: LabelSpace,
    codes: IntArray,
    values: FloatArray,
    found: _Labels,
    domains: IntArray,
) -> list[tuple[str, int, LabelExample]]:
    """Return key, prompt row and example, its texts still missing, of one output for each outcome that is shown."""
    present = np.unique(codes[codes >= 0])
    if len(present) > MOST_OUTCOMES_SHOWN:
        present = present[np.linspace(0, len(present) - 1, MOST_OUTCOMES_SHOWN).round().astype(int)]
    chosen = []
    for outcome in present.tolist():
        rows = np.flatnonzero(codes == outcome)
        # Keys are hashes: the smallest is a random pick that stays the same. From the domain with most of this outcome.
        domain = int(np.bincount(domains[rows]).argmax())
        row = min(rows[domains[rows] == domain].tolist(), key=lambda place: found.keys[place])
        example = LabelExample(
            behavior=name,
            outcome=space.outcomes[outcome],
            value=float(values[row]),
            primary=primary,
            domain="",
            prompt="",
            output=None,
        )
        chosen.append((found.keys[row], int(found.prompt_rows[row]), example))
    return chosen


def _with_texts(
    run: RunDirectory, chosen: Sequence[tuple[str, int, LabelExample]], prompts: pd.DataFrame
) -> list[LabelExample]:
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array({key for key, _, _ in chosen}, pa.string())
    texts: dict[str, str | None] = {}
    for part in run.iterate("generations", ["key", "text"]):
        kept = part.filter(pc.is_in(part["key"], value_set=wanted))
        texts.update(zip(kept["key"].to_pylist(), kept["text"].to_pylist(), strict=True))
    return [
        LabelExample(
            **{
                **asdict(example),
                "domain": str(prompts["domain"][row]),
                "prompt": str(prompts["text"][row]),
                "output": texts.get(key),
            }
        )
        for key, row, example in chosen
    ]
