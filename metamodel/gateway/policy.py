"""What a pre-screen's decision leads to: the one place where decisions become actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from urllib.parse import quote

from metamodel.screen.screened import ScreenedPrompt

ActionName: TypeAlias = Literal["pass", "annotate", "fallback", "refuse"]

DEFAULT_REFUSAL: Final = "This request was not sent to the model: it is unlikely to give a usable answer."
# RFC 9110 lets these into a header's name beside letters and digits; "%" escapes everything else.
_NAME_CHARS: Final = "!#$&'*+-.^_`|~"
HEADER_PREFIX: Final = "x-metamodel-"


@dataclass(frozen=True, kw_only=True)
class Action:
    """What becomes of a call.

    Attributes:
        action: `pass` sends it on, `annotate` too and says in the response's headers what was decided, `fallback` sends
            it elsewhere, `refuse` answers without any model.
        to: For `fallback`: its name.
        message: For `refuse`: the answer.
    """

    action: ActionName
    to: str | None = None
    message: str | None = None

    def __post_init__(self) -> None:
        """Refuse fields of another action."""
        if (self.action == "fallback") != bool(self.to):
            raise ValueError(f"action is {self.action} and to is {self.to!r}: a fallback needs its name, others none")
        if self.message is not None and self.action != "refuse":
            raise ValueError(f"action is {self.action}, which says no message")

    @property
    def shown_message(self) -> str:
        """The answer of a refusal."""
        return DEFAULT_REFUSAL if self.message is None else self.message


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The action on each decision.

    Attributes:
        on_pass: Where the pre-screen lets the prompt through.
        on_stop: Where it stops it, and no entry of `behaviors` applies.
        behaviors: Where the rule of one behavior stopped it; of several the first in this order.
        on_unfamiliar: Where it lets an unfamiliar prompt through; None treats it like any other.
        on_unscreened: Where there is no decision: no text, one that is too long, token ids, a fault.
    """

    on_pass: Action = field(default_factory=lambda: Action(action="pass"))
    on_stop: Action = field(default_factory=lambda: Action(action="annotate"))
    behaviors: Mapping[str, Action] = field(default_factory=dict)
    on_unfamiliar: Action | None = None
    on_unscreened: Action = field(default_factory=lambda: Action(action="annotate"))

    def choose(self, screened: Sequence[ScreenedPrompt]) -> Action:
        """Return the action on a call with these prompts: one that is stopped stops the call.

        >>> Policy().choose([]).action
        'annotate'
        """
        if not screened:
            return self.on_unscreened
        if any(one.decision == "stop" for one in screened):
            stopping = {behavior for one in screened for behavior in one.stopped_by}
            return next((action for behavior, action in self.behaviors.items() if behavior in stopping), self.on_stop)
        if self.on_unfamiliar is not None and any(one.is_unfamiliar for one in screened):
            return self.on_unfamiliar
        return self.on_pass

    def actions(self) -> dict[str, Action]:
        """Return every action with its key path in a config."""
        named = {"pass": self.on_pass, "stop": self.on_stop, "unscreened": self.on_unscreened}
        if self.on_unfamiliar is not None:
            named["unfamiliar"] = self.on_unfamiliar
        return named | {f"behaviors.{behavior}": action for behavior, action in self.behaviors.items()}


def decision_headers(screened: Sequence[ScreenedPrompt], action: Action, warnings: Sequence[str]) -> dict[str, str]:
    """Return what response headers say of a decision; of several prompts the highest probability of each failure.

    Names of behaviors are percent-encoded where a header's name cannot hold them.

    >>> one = ScreenedPrompt(decision="stop", failures={"gpt2/fail": 0.25}, stopped_by=("gpt2/fail",), probabilities={})
    >>> headers = decision_headers([one], Action(action="annotate"), [])
    >>> headers["x-metamodel-decision"], headers["x-metamodel-probability-gpt2%2Ffail"]
    ('stop', '0.250000')
    """
    is_stopped = any(one.decision == "stop" for one in screened)
    headers = {
        "decision": ("stop" if is_stopped else "pass") if screened else "none",
        "action": action.action,
    }
    if is_stopped:
        stopping = dict.fromkeys(behavior for one in screened for behavior in one.stopped_by)
        headers["stopped-by"] = ", ".join(quote(behavior, safe=_NAME_CHARS) for behavior in stopping)
    for behavior in dict.fromkeys(name for one in screened for name in one.failures):
        highest = max(one.failures[behavior] for one in screened if behavior in one.failures)
        headers[f"probability-{quote(behavior, safe=_NAME_CHARS)}"] = f"{highest:.6f}"
    distances = [one.unfamiliarity for one in screened if one.unfamiliarity is not None]
    if distances:
        headers["unfamiliar"] = "true" if any(one.is_unfamiliar for one in screened) else "false"
        headers["unfamiliarity"] = f"{max(distances):.6f}"
    if warnings:
        headers["warning"] = "; ".join(warnings)
    return {f"{HEADER_PREFIX}{name}": value for name, value in headers.items()}
