"""When two outputs give the same answer, and when one is right: what paired behaviors compare.

Ground floor: the types and the pure helpers of texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias, get_args

from metamodel.analysis.answers import OPTION_LETTERS, final_letter
from metamodel.text import normalize
from metamodel.types import GenerationBatch, JSONValue, PartnerOutput

# How an answer is read from an output, and how it is judged.
Answer: TypeAlias = Literal["whole", "first_line", "letter"]
Match: TypeAlias = Literal["exact", "first_line", "prefix", "letter"]

_LEADING_LABEL: Final = re.compile(r"\W{0,16}(\w{1,8})(?!\w)")


def answer_of(text: str, how: Answer, *, labels: JSONValue = None) -> str:
    """Return the answer that an output gives, normalized; empty where it gives none.

    Args:
        text: The output.
        how: "whole" takes all of it, "first_line" its first line that is not blank, "letter" the option that it
            settles on.
        labels: Original label of each option by the label that this output's prompt offers it under, if they differ.

    >>> answer_of("Paris.", "whole"), answer_of("The answer is (B).", "letter", labels={"A": "B", "B": "A"})
    ('paris', 'A')
    """
    originals = _texts(labels)
    if how == "letter":
        return _letter(text, originals, offered="".join(originals) or OPTION_LETTERS)
    answer = normalize(first_line(text) if how == "first_line" else text)
    renamed = {normalize(new): normalize(old) for new, old in originals.items()}
    return renamed.get(answer, answer)


def is_right(text: str, references: Sequence[str], match: Match) -> bool:
    """Say whether an output gives one of the references.

    Args:
        text: The output.
        references: Gold answers.
        match: "exact" compares the whole output, "first_line" its first line that is not blank, "prefix" as many of its
            first words as the reference has, "letter" the option that it settles on.

    >>> is_right("42 is it", ["42"], "prefix"), is_right("42 is it", ["42"], "exact")
    (True, False)
    """
    if match == "letter":
        golds_by_label = {gold.strip(): gold.strip() for gold in references}
        return _letter(text, golds_by_label, offered=OPTION_LETTERS) in golds_by_label
    answer = normalize(first_line(text) if match == "first_line" else text)
    golds = [normalize(gold) for gold in references]
    return answer in golds or (match == "prefix" and any(gold and answer.startswith(f"{gold} ") for gold in golds))


def versions_of(batch: GenerationBatch, row: int, changes: Sequence[str]) -> list[PartnerOutput]:
    """Return the row's partners that are outputs of its own primary model for changed versions of its prompt.

    Args:
        batch: The batch.
        row: A row of it.
        changes: Kinds of change, as the first word of `variant` names them; empty takes every kind.
    """
    return [
        partner
        for partner in batch.partners[row]
        if partner.variant
        and partner.primary == batch.primaries[row]
        and (not changes or partner.variant.split(" ")[0] in changes)
    ]


def first_line(text: str) -> str:
    """Return the first line that is not blank.

    >>> first_line(" Paris is it. And so on.")
    'Paris is it. And so on.'
    """
    return text.strip().partition("\n")[0]


def refuse_unknown(name: str, value: str, allowed: object) -> None:
    """Raise ValueError for a value that a Literal does not list."""
    if value not in get_args(allowed):
        raise ValueError(f"{name} is {value!r}, must be one of {', '.join(get_args(allowed))}")


def _letter(text: str, originals: Mapping[str, str], *, offered: str) -> str:
    """Return the original label of the option that a text settles on; empty where it settles on none.

    Capital letters are looked for anywhere; other labels (b, 2, iv) only where a text begins.
    """
    if all(len(label) == 1 and label in OPTION_LETTERS for label in originals):
        letter = final_letter(text, letters=offered) or ""
        return originals.get(letter, letter)
    return _leading_label(text, originals)


def _leading_label(text: str, labels: Mapping[str, str]) -> str:
    """Return what the label that a text begins with stands for; empty where it begins with none."""
    found = _LEADING_LABEL.match(text)
    return labels.get(found[1], "") if found else ""


def _texts(value: JSONValue) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    return {key: text for key, text in value.items() if isinstance(text, str)}
