"""What a pre-screen says of one prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metamodel.screen.rules import Decision


@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenedPrompt:
    """The decision on one prompt and what it rests on.

    Attributes:
        decision: `pass` where every rule lets the prompt through, else `stop`.
        failures: Probability of failure of each behavior with a rule.
        stopped_by: Behaviors whose rule stopped the prompt.
        probabilities: Probability of each outcome of every behavior, by the outcome's name.
        unfamiliarity: How far the prompt lies from the training prompts, as the share of held-out training prompts that
            lie nearer, from 0 to 1; None where the folder does not know them.
        is_unfamiliar: Whether that is farther than the folder's false alarm rate allows: a warning, no decision.
    """

    decision: Decision
    failures: Mapping[str, float]
    stopped_by: tuple[str, ...]
    probabilities: Mapping[str, Mapping[str, float]]
    unfamiliarity: float | None = None
    is_unfamiliar: bool = False

    def to_dict(self) -> dict[str, object]:
        """Return what JSON can say."""
        return {
            "decision": self.decision,
            "failures": dict(self.failures),
            "stopped_by": list(self.stopped_by),
            "probabilities": {name: dict(outcomes) for name, outcomes in self.probabilities.items()},
            "unfamiliarity": self.unfamiliarity,
            "is_unfamiliar": self.is_unfamiliar,
        }
