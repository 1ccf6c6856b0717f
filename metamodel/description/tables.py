"""What description lengths are worth: equation 6 over alpha, and the frontier of bits explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal

from metamodel.ladder.curve import break_even, knee, pareto_front

Measure = Literal["two-part", "lossless", "prequential"]
UNIFORM: Final = "uniform code"


@dataclass(frozen=True, kw_only=True)
class Described:
    """One metamodel under one measure of its description; all primary models and behaviors together.

    Attributes:
        metamodel: Name in the config; "uniform code" for the code that needs no description.
        measure: "two-part": what is saved; "lossless": the same under shorter codes; "prequential": the online code
            less the bits of the same labels under the saved metamodel.
        description_bits: |C(B)|.
        borrowed_bits: Pretrained parts that it needs and does not hold; no part of `description_bits`.
        cross_entropy_bits: CE of a judged prompt, summed over primary models and behaviors.
        reduction_bits: Bits explained of a judged prompt, summed likewise.
        low_bits: Lower end of the 95 % interval of `reduction_bits`; None where it is unknown.
        high_bits: Upper end of it.
        is_on_front: Whether no shorter description explains as much.
        is_knee: Whether it is the knee of that front.
    """

    metamodel: str
    measure: Measure
    description_bits: float
    borrowed_bits: float
    cross_entropy_bits: float
    reduction_bits: float
    low_bits: float | None
    high_bits: float | None
    is_on_front: bool = False
    is_knee: bool = False

    @property
    def break_even_prompts(self) -> float | None:
        """After how many prompts the description has been paid for; None where no bit is explained."""
        return break_even(self.description_bits, self.reduction_bits)

    def to_dict(self) -> dict[str, str | float | bool | None]:
        """Return it ready for JSON."""
        return asdict(self) | {"break_even_prompts": self.break_even_prompts}


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Equation 6 of one metamodel at one alpha.

    Attributes:
        alpha: Weight of the data's bits.
        metamodel: Name of the metamodel.
        measure: How its description is measured.
        objective_bits: |C(B)| + alpha n CE.
        is_best: Whether no other one is shorter at this alpha, by the same measure.
    """

    alpha: float
    metamodel: str
    measure: Measure
    objective_bits: float
    is_best: bool

    def to_dict(self) -> dict[str, str | float | bool]:
        """Return it ready for JSON."""
        return asdict(self)


def objectives(described: Sequence[Described], alphas: Sequence[float], *, n_prompts: float) -> list[Objective]:
    """Return equation 6 as a table: |C(B)| + alpha n CE of each metamodel, by alpha and measure.

    Source: Holtzman, West, Zettlemoyer (2023), equation 6.

    Args:
        described: Metamodels; one measured in one way only stands in that table alone.
        alphas: Weights.
        n_prompts: Prompts n whose behavior is described.

    >>> one = Described(metamodel="a", measure="lossless", description_bits=100.0, borrowed_bits=0.0,
    ...                 cross_entropy_bits=0.5, reduction_bits=0.1, low_bits=None, high_bits=None)
    >>> objectives([one], [2.0], n_prompts=1000)[0].objective_bits
    1100.0
    """
    rows: list[Objective] = []
    for measure in dict.fromkeys(one.measure for one in described):
        same = [one for one in described if one.measure == measure]
        for alpha in alphas:
            bits = [one.description_bits + alpha * n_prompts * one.cross_entropy_bits for one in same]
            best = bits.index(min(bits))
            rows += [
                Objective(
                    alpha=alpha,
                    metamodel=one.metamodel,
                    measure=measure,
                    objective_bits=bits[place],
                    is_best=place == best,
                )
                for place, one in enumerate(same)
            ]
    return rows


def with_front(described: Sequence[Described]) -> list[Described]:
    """Return the metamodels by size, with the front of all measures and its knee marked.

    A description of 0 bits or fewer has no place on an axis of ratios and is left out of the front.
    """
    ordered = sorted(described, key=lambda one: (one.description_bits, one.metamodel, one.measure))
    places = [place for place, one in enumerate(ordered) if one.description_bits > 0]
    sizes, gains = (
        [getattr(ordered[place], name) for place in places] for name in ("description_bits", "reduction_bits")
    )
    front = pareto_front(sizes, gains)
    bend = knee([sizes[place] for place in front], [gains[place] for place in front])
    on_front = {places[place] for place in front}
    at_knee = places[front[bend]] if bend is not None and gains[front[bend]] > 0 else None
    return [replace(one, is_on_front=place in on_front, is_knee=place == at_knee) for place, one in enumerate(ordered)]
