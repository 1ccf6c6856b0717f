"""From which checkpoint on a metamodel that was trained on an earlier one is wrong.

Pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from metamodel.checkpoints.drift import Judged, MeanTest, PairTest, pair_test
from metamodel.metric_rows import Split
from metamodel.scaling.adjusting import Adjustment, adjusted
from metamodel.types import IntArray

DEFAULT_ALPHA: Final = 0.05
DEFAULT_ADJUSTMENT: Final[Adjustment] = "holm"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A primary model of a known size, at a known point of its training.

    Attributes:
        primary: Its name, unique among all that are judged together.
        parameters: How many it has.
        tokens: How many it has read.
        series: What it is a checkpoint of: checkpoints of one series are compared.
    """

    primary: str
    parameters: float
    tokens: float
    series: str


@dataclass(frozen=True, kw_only=True)
class ChainKey:
    """Whose predictions of what.

    Attributes:
        series: Series of the checkpoints.
        metamodel: Name of the metamodel.
        behavior: Name of the behavior.
        split: What the predictions were held out from.
    """

    series: str
    metamodel: str
    behavior: str
    split: Split


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Checkpoints of one series with labels and predictions of the same prompts.

    Attributes:
        key: Whose predictions of what.
        checkpoints: The checkpoints, by rising tokens.
        judged: Labels and predictions of each.
        strata: Numbers of the prompts of each domain, or all of them in one.
    """

    key: ChainKey
    checkpoints: Sequence[Checkpoint]
    judged: Sequence[Judged]
    strata: Sequence[IntArray]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One metamodel, trained on `source`, judged on `target`; with equal names it is judged at home.

    Attributes:
        key: Whose predictions of what.
        source: Checkpoint whose labels trained it.
        target: Checkpoint whose labels judge it.
        test: What it gains and loses there.
        p_wrong_adjusted: p that it loses nothing or nothing moved, adjusted over all pairs; None at home.
        p_gain_adjusted: p that it gains nothing over the best constant, adjusted over all pairs.
        is_wrong: Whether it loses bits against the metamodel trained on the target, because behavior moved.
        gains: Whether it gains bits over the best constant.
    """

    key: ChainKey
    source: Checkpoint
    target: Checkpoint
    test: PairTest
    p_wrong_adjusted: float | None
    p_gain_adjusted: float
    is_wrong: bool
    gains: bool

    def to_dict(self) -> dict[str, str | float | bool | None]:
        """Return it ready for JSON and CSV, without nesting."""
        test = self.test
        return {
            **asdict(self.key),
            "parameters": self.source.parameters,
            "source": self.source.primary,
            "source_tokens": self.source.tokens,
            "target": self.target.primary,
            "target_tokens": self.target.tokens,
            "n_prompts": test.n_prompts,
            **_fields("gain", test.gain),
            **_fields("over_base_rate", test.over_base_rate),
            **_fields("loss", test.loss),
            **_fields("drift", test.drift),
            "p_gain_adjusted": self.p_gain_adjusted,
            "p_wrong_adjusted": self.p_wrong_adjusted,
            "gains": self.gains,
            "is_wrong": self.is_wrong,
        }


@dataclass(frozen=True, kw_only=True)
class Lasting:
    """How long one metamodel lasts.

    Attributes:
        key: Whose predictions of what.
        source: Checkpoint whose labels trained it.
        gains_at_home: Whether it gains bits over the best constant on its own checkpoint; if not, there is nothing to
            lose and `useless_from` says nothing.
        n_later: Later checkpoints on which it was judged.
        wrong_from: First later checkpoint on which it is wrong; None if on none.
        stays_wrong: Whether it is wrong on all checkpoints after that one too.
        useless_from: First later checkpoint on which no gain over the best constant is left that could be shown; None
            if on none, or if it gained nothing at home.
        harmful_from: First later checkpoint on which it is worse than the best constant (its interval is below zero).
    """

    key: ChainKey
    source: Checkpoint
    gains_at_home: bool
    n_later: int
    wrong_from: Checkpoint | None
    stays_wrong: bool
    useless_from: Checkpoint | None
    harmful_from: Checkpoint | None

    def to_dict(self) -> dict[str, str | float | bool | None]:
        """Return it ready for JSON and CSV, without nesting."""
        found: dict[str, str | float | bool | None] = {
            **asdict(self.key),
            "parameters": self.source.parameters,
            "source": self.source.primary,
            "source_tokens": self.source.tokens,
            "gains_at_home": self.gains_at_home,
            "n_later": self.n_later,
            "stays_wrong": self.stays_wrong,
        }
        for name in ("wrong_from", "useless_from", "harmful_from"):
            first: Checkpoint | None = getattr(self, name)
            found[name] = first.primary if first else None
            found[f"{name}_tokens"] = first.tokens if first else None
        return found


def judge_pairs(
    chains: Sequence[Chain], *, adjust: Adjustment = DEFAULT_ADJUSTMENT, alpha: float = DEFAULT_ALPHA
) -> list[Pair]:
    """Test every checkpoint's metamodel at home and on every later checkpoint of its series.

    Two families of tests are adjusted, each over all chains together: that a metamodel is wrong, and that it gains.

    Args:
        chains: Labels and predictions.
        adjust: How p is adjusted. "holm" by default: a first checkpoint is a claim that one false alarm spoils.
        alpha: Level at which an adjusted p counts.
    """
    found: list[tuple[ChainKey, Checkpoint, Checkpoint, PairTest]] = []
    for chain in chains:
        for place, source in enumerate(chain.checkpoints):
            for later, target in enumerate(chain.checkpoints):
                if later != place and target.tokens <= source.tokens:
                    continue
                test = pair_test(chain.judged[place], chain.judged[later], chain.strata)
                if test is not None:
                    found.append((chain.key, source, target, test))
    is_away = [source is not target for _, source, target, _ in found]
    wrong = np.array([one[3].p_wrong for one, away in zip(found, is_away, strict=True) if away])
    p_wrong = iter(adjusted(wrong, adjust).tolist())
    p_gain = adjusted(np.array([test.gain.p for *_, test in found]), adjust).tolist()
    pairs = []
    for (key, source, target, test), away, gain in zip(found, is_away, p_gain, strict=True):
        p = next(p_wrong) if away else None
        pairs.append(
            Pair(
                key=key,
                source=source,
                target=target,
                test=test,
                p_wrong_adjusted=p,
                p_gain_adjusted=gain,
                is_wrong=p is not None and p <= alpha,
                gains=gain <= alpha,
            )
        )
    return pairs


def lasting(pairs: Sequence[Pair]) -> list[Lasting]:
    """Return how long each metamodel lasts, in the order of the pairs."""
    groups: dict[tuple[ChainKey, str], list[Pair]] = {}
    for pair in pairs:
        groups.setdefault((pair.key, pair.source.primary), []).append(pair)
    return [_lasting(group) for group in groups.values() if len(group) > 1]


def counted(found: Sequence[Lasting]) -> Mapping[str, int]:
    """Count metamodels: with a later checkpoint, ever wrong, that gained at home, and what became of these."""
    return {
        "metamodels": len(found),
        "wrong": sum(one.wrong_from is not None for one in found),
        "gained_at_home": sum(one.gains_at_home for one in found),
        "gained_and_wrong": sum(one.gains_at_home and one.wrong_from is not None for one in found),
        "useless": sum(one.useless_from is not None for one in found),
        "harmful": sum(one.harmful_from is not None for one in found),
    }


def _lasting(group: Sequence[Pair]) -> Lasting:
    home = next((pair for pair in group if pair.source is pair.target), None)
    later = sorted((pair for pair in group if pair.source is not pair.target), key=lambda pair: pair.target.tokens)
    gains_at_home = home is not None and home.gains
    wrong = [place for place, pair in enumerate(later) if pair.is_wrong]
    useless = [pair.target for pair in later if gains_at_home and not pair.gains]
    harmful = [pair.target for pair in later if pair.test.gain.high < 0]
    return Lasting(
        key=group[0].key,
        source=group[0].source,
        gains_at_home=gains_at_home,
        n_later=len(later),
        wrong_from=later[wrong[0]].target if wrong else None,
        stays_wrong=bool(wrong) and all(pair.is_wrong for pair in later[wrong[0] :]),
        useless_from=useless[0] if useless else None,
        harmful_from=harmful[0] if harmful else None,
    )


def _fields(name: str, test: MeanTest | None) -> dict[str, float | None]:
    values = (None,) * 4 if test is None else (test.value, test.low, test.high, test.p)
    names = (f"{name}_bits", f"{name}_low_bits", f"{name}_high_bits", f"p_{name}")
    return dict(zip(names, values, strict=True))
