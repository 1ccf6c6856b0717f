"""The rule that finds the first checkpoint on which a metamodel is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from metamodel.checkpoints.lasting import Chain, Lasting, Pair, counted, judge_pairs, lasting
from metamodel.scaling.adjusting import adjusted

N_SEEDS = 100
EARLY, LATE = (0.1, 0.3, 0.6, 0.9), (0.5, 0.6, 0.3, 0.4)


def _by_source(chain: Chain, pairs: list[Pair]) -> list[Lasting | None]:
    found = {one.source.primary: one for one in lasting(pairs)}
    return [found.get(checkpoint.primary) for checkpoint in chain.checkpoints]


@pytest.mark.parametrize("first", [1, 2, 3, 4])
def test_planted_drift_is_found_where_it_is(planted_chain: Callable[..., Chain], first: int) -> None:
    """Protects the claim: metamodels of earlier checkpoints are wrong from the planted one on, later ones never."""
    n_right = 0
    rates = [EARLY] * first + [LATE] * (5 - first)
    for seed in range(N_SEEDS):
        chain = planted_chain(rates, seed=seed)
        found = _by_source(chain, judge_pairs([chain]))
        drift = chain.checkpoints[first].primary
        expected = [drift] * first + [None] * (5 - first)
        named = [one.wrong_from.primary if one and one.wrong_from else None for one in found]
        n_right += named == expected and all(one.stays_wrong for one in found[:first] if one)
    assert n_right >= 0.95 * N_SEEDS


def test_no_drift_is_not_found(planted_chain: Callable[..., Chain]) -> None:
    """Protects against false alarms: where behavior never moves, at least 95 of 100 seeds call no metamodel wrong."""
    n_silent = 0
    for seed in range(N_SEEDS):
        pairs = judge_pairs([planted_chain([EARLY] * 5, seed=seed)])
        n_silent += not any(pair.is_wrong for pair in pairs)
    assert n_silent >= 0.95 * N_SEEDS


def test_a_metamodel_without_gain_left(planted_chain: Callable[..., Chain]) -> None:
    """Protects `useless_from` and `harmful_from`: behavior turned around leaves no gain, and a loss to a constant."""
    chain = planted_chain([EARLY] * 3 + [EARLY[::-1]] * 2, seed=0)
    found = _by_source(chain, judge_pairs([chain]))
    assert found[0] is not None
    assert found[0].gains_at_home
    assert found[0].useless_from is chain.checkpoints[3]
    assert found[0].harmful_from is chain.checkpoints[3]
    assert found[3] is not None
    assert found[3].useless_from is None


def test_what_gains_nothing_has_nothing_to_lose(planted_chain: Callable[..., Chain]) -> None:
    """Protects readers: a behavior that no prompt tells about is never said to stop being gained on."""
    chain = planted_chain([(0.5,) * 4] * 5, seed=1)
    found = _by_source(chain, judge_pairs([chain]))
    assert all(one is None or (not one.gains_at_home and one.useless_from is None) for one in found)
    assert counted([one for one in found if one])["useless"] == 0


def test_p_is_adjusted_over_all_pairs(planted_chain: Callable[..., Chain]) -> None:
    """Protects the correction: Holm's over the pairs of all chains together, those at home left out."""
    chains = [planted_chain([EARLY] * 3 + [LATE] * 2, seed=seed, n_prompts=60) for seed in range(3)]
    pairs = judge_pairs(chains)
    away = [pair for pair in pairs if pair.source is not pair.target]
    assert len(away) == 3 * 10
    expected = adjusted(np.array([pair.test.p_wrong for pair in away]), "holm")
    assert [pair.p_wrong_adjusted for pair in away] == pytest.approx(expected.tolist())
    assert all(pair.p_wrong_adjusted is None and not pair.is_wrong for pair in pairs if pair.source is pair.target)


def test_rows_are_ready_for_json(planted_chain: Callable[..., Chain]) -> None:
    """Protects the files: rows hold plain values under stable names."""
    pairs = judge_pairs([planted_chain([EARLY] * 5, seed=0)])
    row = json.loads(json.dumps(pairs[1].to_dict(), allow_nan=False))
    assert {"source_tokens", "target_tokens", "loss_bits", "loss_low_bits", "p_drift", "over_base_rate_bits"} < set(row)
    one = json.loads(json.dumps(lasting(pairs)[0].to_dict(), allow_nan=False))
    assert {"wrong_from", "wrong_from_tokens", "useless_from", "stays_wrong"} < set(one)
