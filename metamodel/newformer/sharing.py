"""Which behaviors a new primary model shares with known ones, domain by domain.

An outcome is shown in a domain where more than a share `floor` of the outputs have it, and not where fewer do; both are
tested as `metamodel.corpus.decision` tests presence, every prompt counting once, and the p of all primary models,
domains and outcomes together are adjusted by Holm's method, so that with probability 1 - alpha nothing is misjudged.

Shapes: n = prompts, k = samples a prompt, p = primary models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metamodel.corpus.decision import ClusteredRate, State, clustered_rate
from metamodel.labels import MISSING_CODE, Binary, Categorical, LabelSpace
from metamodel.newformer.results import Context, Sharing
from metamodel.scaling.adjusting import adjusted
from metamodel.transfer.block_labels import Codes, read_codes
from metamodel.transfer.opening import Target
from metamodel.types import FloatArray


@dataclass(frozen=True, kw_only=True)
class _Place:
    behavior: str
    outcome: str
    domain: str
    rates: Mapping[str, ClusteredRate]


def shared_contexts(
    new: Target, known: Sequence[Target], spaces: Mapping[str, LabelSpace], *, floor: float, alpha: float = 0.05
) -> list[Context]:
    """Judge every outcome of every binary or categorical behavior in every domain of the new primary model.

    Args:
        new: The new primary model.
        known: The others; a domain that one lacks says nothing of it.
        spaces: Label space of each behavior.
        floor: Share of outputs, from above 0 to below 1.
        alpha: Chance that anything is misjudged.
    """
    places = list(_places([new, *known], spaces, floor))
    p_values = np.array([rate.p for place in places for rate in place.rates.values()])
    held = iter(adjusted(p_values, "holm").tolist())
    found = []
    for place in places:
        states = {name: rate.state(next(held), alpha=alpha) for name, rate in place.rates.items()}
        if new.name in states:
            found.append(_context(place, states, new.name))
    return found


def _places(models: Sequence[Target], spaces: Mapping[str, LabelSpace], floor: float) -> Iterator[_Place]:
    domains = list(dict.fromkeys(models[0].opened.prompts.domains))
    for behavior, space in spaces.items():
        outcomes = _events(space)
        if not outcomes:
            continue
        codes = {one.opened.name: read_codes(one.opened, behavior).codes for one in models}
        for domain in domains:
            mine = {one.name: _codes_in(one, codes[one.opened.name], domain) for one in models}
            for outcome, name in outcomes.items():
                rates = {
                    model: clustered_rate(shares, n_texts=int((held != MISSING_CODE).sum()), floor=floor)
                    for model, held in mine.items()
                    if len(shares := _shares(held, outcome))
                }
                yield _Place(behavior=behavior, outcome=name, domain=domain, rates=rates)


def _events(space: LabelSpace) -> dict[int, str]:
    """Return the outcomes that can be shown or not; counts and reals have none."""
    if isinstance(space, Binary):
        return {1: "yes"}
    return dict(enumerate(space.outcomes)) if isinstance(space, Categorical) else {}


def _codes_in(model: Target, codes: Codes, domain: str) -> Codes:
    place = list(model.opened.config.primaries).index(model.primary)
    mine: Codes = codes[place][np.array([one == domain for one in model.opened.prompts.domains])]
    return mine


def _shares(codes: Codes, outcome: int) -> FloatArray:
    """Return the share of each labeled prompt's samples that show an outcome."""
    is_labeled = codes != MISSING_CODE
    totals = is_labeled.sum(axis=1)
    shares: FloatArray = ((codes == outcome) & is_labeled).sum(axis=1)[totals > 0] / totals[totals > 0]
    return shares


def _context(place: _Place, states: Mapping[str, State], new: str) -> Context:
    mine = place.rates[new]
    others = {name: rate.rate for name, rate in place.rates.items() if name != new and rate.rate is not None}
    own = mine.rate if mine.rate is not None else 0.0
    nearest = min(others, key=lambda name: abs(others[name] - own), default="")
    return Context(
        behavior=place.behavior,
        outcome=place.outcome,
        domain=place.domain,
        n_prompts=mine.n_clusters,
        rate=mine.rate,
        low=mine.low,
        high=mine.high,
        nearest=nearest,
        nearest_rate=others.get(nearest),
        known_low=min(others.values(), default=None),
        known_high=max(others.values(), default=None),
        sharing=_sharing(states[new], [state for name, state in states.items() if name != new]),
    )


def _sharing(new: State, known: Sequence[State]) -> Sharing:
    """Say who shows it; undecided where a judgment that matters is open.

    >>> _sharing("present", ["absent", "present"]), _sharing("absent", ["absent", "unclear"])
    ('shared', 'undecided')
    """
    is_known = "present" in known
    is_unknown = bool(known) and set(known) == {"absent"}
    if new == "unclear" or not (is_known or is_unknown):
        return "undecided"
    if new == "present":
        return "shared" if is_known else "new only"
    return "known only" if is_known else "neither"
