"""From decisions to what is answered."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from metamodel.screen.screened import ScreenedPrompt

# Of one prompt: by behavior, what each word did.
Words: TypeAlias = Mapping[str, Sequence[Mapping[str, object]]]
# `json.dumps` would build one for every answer.
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def narrowed(screened: ScreenedPrompt, behaviors: Collection[str]) -> ScreenedPrompt:
    """Return what the rules of some behaviors alone decide."""
    stopping = tuple(behavior for behavior in screened.stopped_by if behavior in behaviors)
    return replace(
        screened,
        decision="stop" if stopping else "pass",
        stopped_by=stopping,
        failures={name: value for name, value in screened.failures.items() if name in behaviors},
        probabilities={name: table for name, table in screened.probabilities.items() if name in behaviors},
    )


def answer_body(version: str, screened: Sequence[ScreenedPrompt], words: Sequence[Words] | None = None) -> bytes:
    """Return the JSON that `ScreenAnswer` describes.

    Args:
        version: Of the pre-screen.
        screened: Decisions on the prompts.
        words: Which words of each prompt mattered, where that was asked.

    Raises:
        ValueError: A probability is no number: a bug, and not to be taken for a decision.
    """
    answers = [one.to_dict() for one in screened]
    if words is not None:
        for answer, found in zip(answers, words, strict=True):
            answer["words"] = found
    return _ENCODER.encode({"screen": version, "screened": answers}).encode()
