"""Questions whose wording or luck misleads: redefined mathematics, negated questions, bets judged in hindsight."""

from __future__ import annotations

from dataclasses import dataclass

from metamodel.prompts.base import Draws, Example, GeneratedDomain, answered, refuse, share_problem
from metamodel.prompts.facts import load_capitals
from metamodel.types import Scalar

REDEFINITIONS = ("first_character", "last_character", "n_characters", "operator", "constant")
ORDINALS = {"first_character": "first", "last_character": "last"}
MOST_SHOTS = 14
LARGEST_STAKE = 20
KINDS = (
    ("an animal", ("horse", "rabbit", "tiger", "goat", "duck", "whale", "frog", "mouse")),
    ("a fruit", ("pear", "apple", "banana", "mango", "melon", "fig", "papaya", "quince")),
    ("a tool", ("hammer", "shovel", "saw", "drill", "wrench", "rake", "chisel", "axe")),
    ("a color", ("red", "blue", "green", "yellow", "purple", "brown", "white", "pink")),
    ("a number", ("two", "five", "seven", "nine", "ten", "three", "eight", "twelve")),
)


@dataclass(frozen=True, kw_only=True)
class RedefinedMath(GeneratedDomain):
    """Arithmetic under a new definition: "Let 5 + 3 be a string. Its first character is" -> " 5".

    Attributes:
        max_operand: Largest number in a formula.
        domain: Name of the domain.
    """

    max_operand: int = 99
    domain: str = "redefined_math"

    def __post_init__(self) -> None:
        """Refuse an empty range of operands."""
        refuse(None if self.max_operand >= 1 else f"max_operand is {self.max_operand}, must be at least 1")

    def draw(self, draws: Draws) -> Example:
        """Return a redefinition and a question, with its variant."""
        variant = draws.pick(REDEFINITIONS)
        left, right = draws.between(0, self.max_operand), draws.between(0, self.max_operand)
        if variant == "operator":
            text, answer = self._redefined_operator(draws, left, right)
        elif variant == "constant":
            meaning = draws.between(0, self.max_operand)
            text, answer = f"Let {left} be {meaning}. {left} + {right} =", str(meaning + right)
            if right == left:
                answer = str(2 * meaning)
        else:
            formula = f"{left} {draws.pick('+-*')} {right}"
            text, answer = self._formula_as_string(variant, formula)
        return answered(text, answer, domain=self.domain, attributes={"variant": variant})

    @staticmethod
    def _redefined_operator(draws: Draws, left: int, right: int) -> tuple[str, str]:
        results = {"plus": left + right, "minus": left - right, "times": left * right}
        symbols = {"+": ("minus", "times"), "-": ("plus", "times"), "*": ("plus", "minus")}
        symbol = draws.pick(tuple(symbols))
        meaning = draws.pick(symbols[symbol])
        return f"Let {symbol} mean {meaning}. {left} {symbol} {right} =", str(results[meaning])

    @staticmethod
    def _formula_as_string(variant: str, formula: str) -> tuple[str, str]:
        definition = f"Let {formula} be a string."
        if variant == "n_characters":
            return f"{definition} Without spaces its length is", str(len(formula.replace(" ", "")))
        answer = formula[0] if variant == "first_character" else formula[-1]
        return f"{definition} Its {ORDINALS[variant]} character is", answer


@dataclass(frozen=True, kw_only=True)
class NegatedQuestion(GeneratedDomain):
    """A choice of two under a "not": "Paris is not the capital of A) Italy or B) France? Answer:" -> " A".

    Attributes:
        negated_share: How often the "not" is there; without it the other option is right.
        domain: Name of the domain.
    """

    negated_share: float = 1.0
    domain: str = "negated_question"

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        refuse(share_problem("negated_share", self.negated_share))

    def draw(self, draws: Draws) -> Example:
        """Return a question, with its topic and whether it is negated."""
        topic = draws.pick(("capital", "larger", "kind"))
        if topic == "capital":
            (place, city), (elsewhere, _) = draws.distinct(load_capitals(), 2)
            subject, relation, true_option, false_option = city, "the capital of", place, elsewhere
        elif topic == "larger":
            number = draws.between(2, 97)
            smaller, larger = draws.between(1, number - 1), draws.between(number + 1, 99)
            subject, relation, true_option, false_option = str(number), "larger than", str(smaller), str(larger)
        else:
            (kind, members), (other_kind, _) = draws.distinct(KINDS, 2)
            subject, relation, true_option, false_option = draws.pick(members), "called", kind, other_kind
        negated = draws.chance(self.negated_share)
        right, wrong = (false_option, true_option) if negated else (true_option, false_option)
        gold = draws.pick("AB")
        first, second = (right, wrong) if gold == "A" else (wrong, right)
        verb = "is not" if negated else "is"
        text = f"{subject} {verb} {relation} A) {first} or B) {second}? Answer:"
        return answered(text, gold, domain=self.domain, attributes={"topic": topic, "negated": negated})


@dataclass(frozen=True, kw_only=True)
class HindsightBet(GeneratedDomain):
    """Was the bet worth taking? Its expected value decides, whatever came of it.

    Each line gives two chances with their gains in whole percent and units, what came of it, and the verdict:
    "70% +9 30% -4: +9 yes". In the shots the outcome agrees with the expected value; in the last line often not.

    Attributes:
        n_shots: Answered lines before the question.
        agrees_share: How often the last line's outcome has the sign of its expected value.
        domain: Name of the domain.
    """

    n_shots: int = 10
    agrees_share: float = 0.5
    domain: str = "hindsight_bet"

    def __post_init__(self) -> None:
        """Refuse a number of shots that leaves the length limit and a share that is none."""
        is_allowed = 0 <= self.n_shots <= MOST_SHOTS
        refuse(
            None if is_allowed else f"n_shots is {self.n_shots}, must be from 0 to {MOST_SHOTS}",
            share_problem("agrees_share", self.agrees_share),
        )

    def draw(self, draws: Draws) -> Example:
        """Return shots and a question, with its expected value and whether the outcome agrees with it."""
        lines = []
        for _ in range(self.n_shots):
            bet, expected = _draw_bet(draws, agrees=True)
            lines.append(f"{bet} {_verdict(expected)}")
        agrees = draws.chance(self.agrees_share)
        bet, expected = _draw_bet(draws, agrees=agrees)
        lines.append(bet)
        attributes: dict[str, Scalar] = {
            "n_shots": self.n_shots,
            "expected_value": expected / 100,
            "outcome_agrees": agrees,
        }
        return answered("\n".join(lines), _verdict(expected), domain=self.domain, attributes=attributes)


def _draw_bet(draws: Draws, *, agrees: bool) -> tuple[str, int]:
    """Return a line without its verdict, and a hundred times its expected value, never 0."""
    expected = 0
    while expected == 0:
        chance = draws.between(1, 19) * 5
        gain, loss = draws.between(1, LARGEST_STAKE), draws.between(1, LARGEST_STAKE)
        expected = chance * gain - (100 - chance) * loss
    outcome = f"+{gain}" if (expected > 0) is agrees else f"-{loss}"
    return f"{chance}% +{gain} {100 - chance}% -{loss}: {outcome}", expected


def _verdict(expected: int) -> str:
    return "yes" if expected > 0 else "no"
