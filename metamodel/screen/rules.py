"""What a pre-screen decides by: a threshold a behavior, and what was promised of it.

Pure functions and plain data: nothing here predicts, nothing touches a disk.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from metamodel.errors import DataError

Decision: TypeAlias = Literal["pass", "stop"]
SCHEMA_VERSION = 1
MOST_RULES = 1000


@dataclass(frozen=True, kw_only=True)
class Guarantee:
    """What a threshold was chosen to hold, on prompts that nothing else was fitted on.

    Attributes:
        risk: Largest failure rate among prompts that are let through.
        confidence: Probability, over the draw of the prompts it was chosen on, that the rate stays below `risk`.
        coverage: Share of those prompts that is let through.
        failure_rate: Share of failures among those that are let through; None where none is.
        n_prompts: Prompts it was chosen on.
        method: How, in a few words.
    """

    risk: float
    confidence: float
    coverage: float
    failure_rate: float | None
    n_prompts: int
    method: str


@dataclass(frozen=True, kw_only=True)
class ScreenRule:
    """Lets a prompt through where one behavior's failure is unlikely enough.

    Attributes:
        behavior: A behavior that the metamodel predicts; `PRIMARY/BEHAVIOR` for one of many primary models.
        failures: Outcomes that count as failure.
        threshold: Largest probability of failure that is let through; below 0 stops every prompt.
        guarantee: What was promised, where `metamodel threshold` chose it.
    """

    behavior: str
    failures: tuple[str, ...]
    threshold: float
    guarantee: Guarantee | None = None

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if not self.failures or len(set(self.failures)) != len(self.failures):
            raise ValueError(f"failures is {list(self.failures)}, must name at least one outcome, none twice")
        if not math.isfinite(self.threshold):
            raise ValueError(f"threshold is {self.threshold}, must be a finite number")


def rules_to_json(rules: Sequence[ScreenRule]) -> list[dict[str, object]]:
    """Return JSON-ready rules."""
    return [{**asdict(rule), "failures": list(rule.failures)} for rule in rules]


def rules_from_json(value: object, *, source: str) -> tuple[ScreenRule, ...]:
    """Return the rules that `rules_to_json` wrote; the text may come from anyone.

    Raises:
        DataError: It says something else; `source` names the file.
    """
    if not isinstance(value, list) or len(value) > MOST_RULES:
        raise DataError(f"{source}: rules must be a list of at most {MOST_RULES}")
    rules = tuple(_rule(item, f"{source}: rules[{place}]") for place, item in enumerate(value))
    if len({rule.behavior for rule in rules}) != len(rules):
        raise DataError(f"{source}: rules name a behavior twice, must have one rule a behavior")
    return rules


def _rule(value: object, where: str) -> ScreenRule:
    known = {"behavior", "failures", "threshold", "guarantee"}
    if not isinstance(value, dict) or set(value) != known:
        raise DataError(f"{where} must be a mapping with {', '.join(sorted(known))}")
    behavior, failures = value["behavior"], value["failures"]
    if not isinstance(behavior, str) or not isinstance(failures, list):
        raise DataError(f"{where}: behavior must be a text and failures a list of texts")
    if not all(isinstance(outcome, str) for outcome in failures):
        raise DataError(f"{where}: failures must be texts")
    try:
        return ScreenRule(
            behavior=behavior,
            failures=tuple(failures),
            threshold=_number(value["threshold"], f"{where}: threshold"),
            guarantee=_guarantee(value["guarantee"], where),
        )
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error


def _guarantee(value: object, where: str) -> Guarantee | None:
    if value is None:
        return None
    known = {"risk", "confidence", "coverage", "failure_rate", "n_prompts", "method"}
    if not isinstance(value, Mapping) or set(value) != known:
        raise DataError(f"{where}: guarantee must be null or a mapping with {', '.join(sorted(known))}")
    n_prompts, method = value["n_prompts"], value["method"]
    if type(n_prompts) is not int or n_prompts < 0 or not isinstance(method, str):
        raise DataError(f"{where}: guarantee.n_prompts must be a whole number and guarantee.method a text")
    rate = value["failure_rate"]
    return Guarantee(
        risk=_number(value["risk"], f"{where}: guarantee.risk"),
        confidence=_number(value["confidence"], f"{where}: guarantee.confidence"),
        coverage=_number(value["coverage"], f"{where}: guarantee.coverage"),
        failure_rate=None if rate is None else _number(rate, f"{where}: guarantee.failure_rate"),
        n_prompts=n_prompts,
        method=method,
    )


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise DataError(f"{where} is {value!r}, must be a finite number")
    return float(value)
