"""Judge candidates on the half kept aside: one test each, its direction fixed by the search.

Shapes: m = labeled prompts of one half, c = outcomes of a behavior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metamodel.discovery.conditions import Conditions, Slice
from metamodel.discovery.effects import Effects, WithinDomains
from metamodel.discovery.found import About, Discovery, Figure
from metamodel.discovery.picks import Pick, pick_examples
from metamodel.discovery.residuals import Cell, Measure
from metamodel.discovery.search import Candidate
from metamodel.types import IntArray

_DOMAIN_OVERLAP: Final = 0.8
_CLEAR_T: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class KeptPrompts:
    """The prompts of a cell that the search did not see.

    Attributes:
        conditions: Over all prompts of the run.
        rows: Row numbers in the run, [m].
        places: Their places in the cell, [m].
        domains: Number of each prompt's domain, over all prompts of the run.
        domain_names: Name of each.
        within: The estimator over these prompts.
        n_samples: Mean number of samples a prompt.
    """

    conditions: Conditions
    rows: IntArray
    places: IntArray
    domains: IntArray
    domain_names: Sequence[str]
    within: WithinDomains
    n_samples: float


@dataclass(frozen=True, kw_only=True)
class Tested:
    """A candidate after its test.

    Attributes:
        slice: Which prompts.
        discovery: What the test says; its examples are still to be read.
        picks: Which prompts to show.
    """

    slice: Slice
    discovery: Discovery
    picks: Sequence[Pick]


def judge(
    candidate: Candidate,
    cell: Cell,
    measures: Mapping[str, Sequence[Measure]],
    required: Sequence[str],
    kept: KeptPrompts,
) -> Tested:
    """Return a candidate's effects on the half kept aside, p not yet corrected, and which examples to show.

    Where several metamodels must agree p is the largest of theirs, which is a test of all at once (Berger 1982).

    Args:
        candidate: What the search found.
        cell: The cell it was found in.
        measures: All measures of the cell's prompts by every trained metamodel, by name.
        required: The metamodels that must agree; the first stands for all in what is shown.
        kept: The other half.
    """
    inside = kept.conditions.prompts_of(candidate.slice)
    mine = inside[kept.rows]
    own = measures[required[0]]
    effects = {name: _effect(of_all[candidate.measure], mine, kept) for name, of_all in measures.items()}
    bits = effects[required[0]] if own[candidate.measure].kind == "surprise" else _effect(own[0], mine, kept)
    measure = own[_rate_number(candidate, own, mine, kept)]
    rate = _effect(measure, mine, kept)
    observed = kept.within.sides(measure.observed[kept.places], mine)
    predicted = kept.within.sides(measure.predicted[kept.places], mine)
    found = Discovery(
        primary=cell.primary,
        behavior=cell.behavior,
        split=cell.split,
        metamodel="+".join(required),
        slice=kept.conditions.text_of(candidate.slice),
        kind=kept.conditions.kind_of(candidate.slice),
        measure=own[candidate.measure].kind,
        outcome=measure.outcome,
        direction=candidate.sign,
        t_searched=candidate.t,
        n_searched=int(inside[cell.rows].sum() - mine.sum()),
        n_inside=int(bits.n_inside[0]),
        n_outside=int(bits.n_outside[0]),
        bits=_figure(bits),
        rate=_figure(rate),
        rate_overall=float(measure.values[kept.places][mine].mean() - measure.values[kept.places][~mine].mean()),
        observed_inside=observed[0],
        predicted_inside=predicted[0],
        observed_outside=observed[1],
        predicted_outside=predicted[1],
        about=_about(float(rate.t[0]), observed[0] - observed[1], predicted[0] - predicted[1]),
        **_place(inside, kept)._asdict(),
        p=max(float(effects[name].p_values(float(candidate.sign))[0]) for name in required),
        agreement={name: float(effect.values[0]) for name, effect in effects.items()},
        examples=(),
    )
    places = kept.places[mine]
    picks = pick_examples(cell, places, own[candidate.measure].values[places], sign=candidate.sign)
    return Tested(slice=candidate.slice, discovery=found, picks=picks)


class _DomainsOfSlice(NamedTuple):
    largest_domain: str
    largest_domain_share: float
    is_domain: bool
    n_domains: int


def _place(inside: NDArray[np.bool_], kept: KeptPrompts) -> _DomainsOfSlice:
    """Return which domains a slice's prompts are of, in both halves."""
    domains, counts = np.unique(kept.domains[inside], return_counts=True)
    largest = int(domains[np.argmax(counts)])
    of_domain = kept.domains == largest
    return _DomainsOfSlice(
        largest_domain=kept.domain_names[largest],
        largest_domain_share=float(counts.max() / counts.sum()),
        is_domain=float((inside & of_domain).sum() / (inside | of_domain).sum()) >= _DOMAIN_OVERLAP,
        n_domains=len(domains),
    )


def _effect(measure: Measure, mine: NDArray[np.bool_], kept: KeptPrompts) -> Effects:
    values = measure.values[kept.places]
    implied = kept.within.implied_variances(values, measure.variances[kept.places], kept.n_samples)
    return kept.within.effects(values, implied, mine[:, None])


def _rate_number(candidate: Candidate, own: Sequence[Measure], mine: NDArray[np.bool_], kept: KeptPrompts) -> int:
    """Return which rate to show beside the bits: the registered one, or the one that stands out most."""
    if own[candidate.measure].kind != "surprise":
        return candidate.measure
    numbers = range(1, len(own))
    return max(numbers, key=lambda number: abs(float(_effect(own[number], mine, kept).t[0])))


def _figure(effects: Effects) -> Figure:
    low, high = effects.intervals()
    return Figure(value=float(effects.values[0]), low=float(low[0]), high=float(high[0]))


def _about(t: float, by_label: float, by_prediction: float) -> About:
    """Say what makes the residual differ: labels, or predictions that differ where labels do not."""
    if abs(t) < _CLEAR_T:
        return "neither"
    effect = by_label - by_prediction
    return "labels" if by_label * np.sign(effect) >= abs(effect) / 2 else "predictions"
