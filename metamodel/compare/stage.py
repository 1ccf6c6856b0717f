"""Stage compare: how much better or worse a new run predicts than an old one, on the prompts that both judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.bootstrap import DEFAULT_DRAWS
from metamodel.compare.judging import CellJudge
from metamodel.compare.names import KINDS, Kind, NamePair, paired_names, unpaired_names
from metamodel.compare.pairing import pair_labels
from metamodel.compare.rows import ComparedRow, Measured, Verdict
from metamodel.compare.sides import Side, open_side
from metamodel.errors import DataError
from metamodel.metric_rows import SPLITS
from metamodel.scaling.adjusting import Adjustment, adjusted
from metamodel.store.provenance import JSON, differences
from metamodel.types import JSONValue

if TYPE_CHECKING:
    from metamodel.console import OnProgress
    from metamodel.store.run_directory import RunDirectory

DEFAULT_ALPHA: Final = 0.05
# Two runs of one config always differ in these.
_OWN_KEYS: Final = ("name", "directory")
_LISTED: Final = 12


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """How two runs are compared.

    Attributes:
        matches: Names that mean the same thing, as `paired_names` reads them.
        adjust: How p values are adjusted for the number of tests.
        alpha: Level of the verdicts.
        n_draws: Bootstrap draws.
        seed: Fixes the draws.
    """

    matches: Sequence[str] = ()
    adjust: Adjustment = "holm"
    alpha: float = DEFAULT_ALPHA
    n_draws: int = DEFAULT_DRAWS
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class RunComparison:
    """What two runs say about each other.

    Attributes:
        old_path: The first run.
        new_path: The second run.
        options: How they were compared.
        rows: The summary of each cell and its domains, the greatest difference first.
        notes: What the reader must know: names and prompts of one run alone, label spaces that differ.
        config_changes: `path: old -> new`, one a setting that differs.
    """

    old_path: str
    new_path: str
    options: CompareOptions
    rows: Sequence[ComparedRow]
    notes: Sequence[str]
    config_changes: Sequence[str]

    @property
    def summaries(self) -> list[ComparedRow]:
        """Rows over domains, not of single ones."""
        return [row for row in self.rows if row.domain is None]

    @property
    def is_worse(self) -> bool:
        """Whether the new run is worse somewhere, over domains."""
        return any(row.verdict == "worse" for row in self.summaries)

    @property
    def verdicts(self) -> dict[Verdict, int]:
        """How many summaries got each verdict."""
        return dict(Counter(row.verdict for row in self.summaries))

    def to_dict(self) -> dict[str, JSONValue]:
        """Return what compare.json holds."""
        return {
            "old": self.old_path,
            "new": self.new_path,
            "adjust": self.options.adjust,
            "alpha": self.options.alpha,
            "n_draws": self.options.n_draws,
            "seed": self.options.seed,
            "matches": list(self.options.matches),
            "verdicts": {str(verdict): count for verdict, count in self.verdicts.items()},
            "is_worse": self.is_worse,
            "notes": list(self.notes),
            "config_changes": list(self.config_changes),
            "rows": [row.to_dict() for row in self.rows],
        }


def compare_runs(
    old: RunDirectory,
    new: RunDirectory,
    options: CompareOptions | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> RunComparison:
    """Compare what two runs predicted, prompt by prompt.

    Where both judged the same labels of the same generations, the difference in bits is the new run's gain in
    prediction. Where the labels differ, bits of the two runs are not bits of the same thing: their difference is
    given, without a verdict, next to how far the labels agree.

    Args:
        old: The run to compare with.
        new: The run that is judged.
        options: How.
        on_progress: Told of each pair of primary models.

    Raises:
        ConfigError: A match names nothing.
        DataError: The runs have no judged prompt, behavior, metamodel or primary model in common.
        RunError: A run has not been evaluated.
    """
    chosen = options or CompareOptions()
    sides = open_side(old), open_side(new)
    pairs = paired_names(sides[0].names, sides[1].names, chosen.matches)
    _require_common_names(*sides, pairs)
    notes = [*_name_notes(*sides, pairs), *_identity_notes(*sides, pairs)]
    comparable, space_notes = _comparable(*sides, pairs["behavior"])
    rows: list[ComparedRow] = []
    n_steps = len(pairs["primary"]) * len(comparable)
    for place, primary in enumerate(pairs["primary"]):
        for step, row_group in enumerate(_compared(*sides, primary, comparable, pairs["metamodel"], chosen), start=1):
            rows += row_group
            if on_progress:
                on_progress(f"{primary.new} compared", place * len(comparable) + step, n_steps)
    if not rows:
        raise DataError(_no_common_prompts(*sides, space_notes))
    judged = with_verdicts(rows, chosen)
    return RunComparison(
        old_path=old.path,
        new_path=new.path,
        options=chosen,
        rows=sorted(judged, key=lambda row: (row.rates is not None, -abs(row.difference.value))),
        notes=[*notes, *space_notes, *_prompt_notes(judged)],
        config_changes=config_changes(old.config, new.config),
    )


def config_changes(old: Mapping[str, JSON], new: Mapping[str, JSON]) -> list[str]:
    """Return the settings that differ, one `path: old -> new` each; entries with names are matched by them.

    >>> old, new = ({"name": "a", "metamodels": [{"name": "bag", "n": n}]} for n in (1, 2))
    >>> config_changes(old, new)
    ['metamodels.bag.n: 1 -> 2']
    """
    ours, theirs = ({key: config[key] for key in config if key not in _OWN_KEYS} for config in (old, new))
    return list(differences(_by_name(ours), _by_name(theirs)))


def _by_name(value: JSON) -> JSON:
    if isinstance(value, Mapping):
        return {key: _by_name(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        names = [entry.get("name") for entry in value if isinstance(entry, Mapping)]
        if value and len(names) == len(value) == len({str(name) for name in names}) and None not in names:
            return {str(name): _by_name(entry) for name, entry in zip(names, value, strict=True)}
        return [_by_name(inner) for inner in value]
    return value


def _compared(
    old: Side,
    new: Side,
    primary: NamePair,
    behaviors: Sequence[NamePair],
    metamodels: Sequence[NamePair],
    options: CompareOptions,
) -> Iterator[list[ComparedRow]]:
    """Yield the rows of one pair of primary models, behavior by behavior."""
    before, after = old.predictions(primary.old), new.predictions(primary.new)
    for behavior in behaviors:
        space = new.spaces[behavior.new]
        labels = pair_labels(old.labels(behavior.old, primary.old), new.labels(behavior.new, primary.new), space)
        judge = CellJudge(labels, n_draws=options.n_draws, seed=options.seed)
        rows: list[ComparedRow] = []
        for metamodel in metamodels:
            for split in SPLITS:
                mine = before.get((metamodel.old, behavior.old, split))
                theirs = after.get((metamodel.new, behavior.new, split))
                if mine is not None and theirs is not None:
                    blank = ComparedRow(
                        primary=primary, behavior=behavior, metamodel=metamodel, split=split, domain=None,
                        relation=labels.relation, n_prompts=0, n_domains=0, n_only_old=0, n_only_new=0,
                        old_bits=0.0, new_bits=0.0, difference=Measured(value=0.0), p_value=None,
                    )  # fmt: skip
                    rows += judge.rows(blank, mine, theirs)
        yield rows


def with_verdicts(rows: Sequence[ComparedRow], options: CompareOptions) -> list[ComparedRow]:
    """Adjust p values among the summaries and among the single domains, and say what follows.

    Metamodels that predict exactly the same, as most baselines do, are no test: they do not weaken the others.
    """
    judged = [replace(row, p_adjusted=row.p_value) for row in rows]
    for is_summary in (True, False):
        places = [
            at
            for at, row in enumerate(rows)
            if (row.domain is None) == is_summary and row.p_value is not None and not row.is_identical
        ]
        values = np.array([rows[at].p_value for at in places], dtype=np.float64)
        for at, p_adjusted in zip(places, adjusted(values, options.adjust), strict=True):
            judged[at] = replace(rows[at], p_adjusted=float(p_adjusted))
    return [replace(row, verdict=_verdict(row, options.alpha)) for row in judged]


def _verdict(row: ComparedRow, alpha: float) -> Verdict:
    if row.rates is not None:
        return "different data"
    if row.p_adjusted is None or row.difference.low is None or row.difference.high is None:
        return "too few prompts"
    if row.p_adjusted > alpha or row.difference.low <= 0 <= row.difference.high:
        return "no difference seen"
    return "better" if row.difference.value > 0 else "worse"


def _comparable(old: Side, new: Side, behaviors: Sequence[NamePair]) -> tuple[list[NamePair], list[str]]:
    """Return the behaviors whose label spaces are equal, and notes on the others."""
    found, notes = [], []
    for pair in behaviors:
        if old.spaces[pair.old] == new.spaces[pair.new]:
            found.append(pair)
        else:
            notes.append(
                f"{pair}: label spaces differ ({old.spaces[pair.old]} and {new.spaces[pair.new]}), not compared"
            )
    return found, notes


def _require_common_names(old: Side, new: Side, pairs: Mapping[Kind, Sequence[NamePair]]) -> None:
    for kind in KINDS:
        if not pairs[kind]:
            raise DataError(
                f"the runs have no {kind} in common: {old.run.path} has {_listed(old.names[kind])}; {new.run.path} has "
                f"{_listed(new.names[kind])}. If two names mean the same, say --match {old.names[kind][0]}="
                f"{new.names[kind][0]}"
            )


def _no_common_prompts(old: Side, new: Side, notes: Sequence[str]) -> str:
    parts = []
    for side in (old, new):
        table = side.run.read("predictions", columns=["domain", "prompt_id"])
        n_prompts = len(table["prompt_id"].unique())
        parts.append(f"{side.run.path} judges {n_prompts} prompts of {_listed(table['domain'].unique().to_pylist())}")
    return "; ".join(["the runs have fewer than two judged and labeled prompts in common", *parts, *notes])


def _name_notes(old: Side, new: Side, pairs: Mapping[Kind, Sequence[NamePair]]) -> list[str]:
    notes = []
    plurals: dict[Kind, str] = {"primary": "primary models", "behavior": "behaviors", "metamodel": "metamodels"}
    for kind in KINDS:
        only_old = unpaired_names(old.names[kind], [pair.old for pair in pairs[kind]])
        only_new = unpaired_names(new.names[kind], [pair.new for pair in pairs[kind]])
        notes += [f"{plurals[kind]} of the old run alone: {_listed(only_old)}"] if only_old else []
        notes += [f"{plurals[kind]} of the new run alone: {_listed(only_new)}"] if only_new else []
    return notes


def _identity_notes(old: Side, new: Side, pairs: Mapping[Kind, Sequence[NamePair]]) -> list[str]:
    notes = []
    for pair in pairs["primary"]:
        before, after = old.identities.get(pair.old), new.identities.get(pair.new)
        if before != after:
            notes.append(f"primary model {pair} is {before or 'unknown'} in the old run, {after or 'unknown'} now")
    return notes


def _prompt_notes(rows: Sequence[ComparedRow]) -> list[str]:
    summaries = [row for row in rows if row.domain is None]
    notes = []
    for split in SPLITS:
        mine = [row for row in summaries if row.split == split]
        if mine:
            most = max(mine, key=lambda row: row.n_prompts)
            notes.append(
                f"{split.replace('_', ' ')}: up to {most.n_prompts:,} prompts compared; judged only in the old run "
                f"{most.n_only_old:,}, only in the new run {most.n_only_new:,}"
            )
    relabeled = sorted({str(row.behavior) for row in summaries if row.relation == "relabeled"})
    other = sorted({str(row.primary) for row in summaries if row.relation == "other"})
    notes += [f"the same generations carry other labels of {_listed(relabeled)}"] if relabeled else []
    notes += [f"other generations of {_listed(other)}: bits there are of different labels"] if other else []
    return notes


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(str(name) for name in names[:_LISTED])
    return f"{shown} and {len(names) - _LISTED} more" if len(names) > _LISTED else shown or "none"
