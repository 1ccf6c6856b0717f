"""The same question in other words, and its options in another order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from metamodel.errors import DataError
from metamodel.prompts.base import refuse
from metamodel.prompts.perturb import PerturbedSource, number_problem, shuffled, version_draws
from metamodel.types import JSONValue, Prompt

# A rule's text before the arrow holds at most so many blanks: each is a search of its own.
_MOST_BLANKS: Final = 4
_BLANK: Final = re.compile(r"\{(\w+)\}")
_OPTION_LINE: Final = re.compile(r"^(?P<head>[ \t]*[(\[]?(?P<label>[A-Ja-j]|10|[1-9])[)\].:][ \t]+)(?P<text>\S.*)$")
_FEWEST_OPTIONS: Final = 2


@dataclass(frozen=True, kw_only=True)
class Paraphrases(PerturbedSource):
    """Changed versions in words that the user gives: by rules for whole prompts, or from a column of a prompt file.

    A rule is two patterns with the same blanks: "The capital of {place} is" -> "{place} has its seat of government in".
    It applies to a prompt that the first one matches from end to end; a blank stands for any text of one line. What
    the prompt's attribute named `attribute` holds, one text or a list of them, gives versions too.

    No model rewrites anything here: a paraphrase is as good as the rule, and offline.
    Source: this project.

    Attributes:
        rules: Patterns of prompts, each with the patterns of its paraphrases.
        attribute: Attribute of a prompt that holds paraphrases of it; prompts may lack it.
    """

    rules: Mapping[str, tuple[str, ...]] | None = None
    attribute: str = "paraphrases"

    def __post_init__(self) -> None:
        """Refuse rules with blanks that one side lacks."""
        refuse(*(_rule_problem(old, new) for old, news in (self.rules or {}).items() for new in news))
        super().__post_init__()

    def versions(self, prompt: Prompt, seed: int) -> Iterator[Prompt]:
        """Yield the paraphrases, those by rules first; the same ones for every seed.

        Raises:
            DataError: The attribute holds something else than texts.
        """
        del seed
        texts = [*self._by_rules(prompt.text), *self._given(prompt)]
        different = [text for text in dict.fromkeys(texts) if text != prompt.text]
        for number, text in enumerate(different, start=1):
            yield prompt.changed(text, variant=f"paraphrase {number}", attributes={"change": "paraphrase"})

    def _by_rules(self, text: str) -> Iterator[str]:
        for old, news in (self.rules or {}).items():
            found = _pattern(old).fullmatch(text)
            if found:
                blanks = found.groupdict()
                for new in news:
                    yield _BLANK.sub(lambda blank: blanks[blank[1]], new)  # noqa: B023 - used up in the same round

    def _given(self, prompt: Prompt) -> list[str]:
        given = prompt.attributes.get(self.attribute, [])
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
            raise DataError(f"attribute {self.attribute!r} of a prompt is {given!r}, must be a text or a list of texts")
        return [str(text) for text in texts]


@dataclass(frozen=True, kw_only=True)
class OptionOrder(PerturbedSource):
    """Changed versions that offer the same options in another order.

    Options are lines that begin with a label ("A.", "(b)", "3)"); the labels stay in their order and the texts move.
    References and choices that are labels follow their texts; the version's attribute `labels` maps each label to
    the one that its text has in the original. Where no such lines stand in the prompt but it has `choices`, only these
    are put in another order. A prompt with neither has no changed version.
    Source: Pezeshkpour and Hruschka, Large Language Models Sensitivity to the Order of Options in Multiple-Choice
    Questions (2023).

    Attributes:
        n_versions: Changed versions a prompt, all of them different; there are n! - 1 of n options.
    """

    n_versions: int = 1

    def __post_init__(self) -> None:
        """Refuse a number below one."""
        refuse(number_problem("n_versions", self.n_versions))
        super().__post_init__()

    def versions(self, prompt: Prompt, seed: int) -> Iterator[Prompt]:
        """Yield the versions with their options reordered."""
        lines = prompt.text.split("\n")
        places = [place for place, line in enumerate(lines) if _OPTION_LINE.match(line)]
        n_options = len(places) if len(places) >= _FEWEST_OPTIONS else len(prompt.choices)
        if n_options < _FEWEST_OPTIONS:
            return
        draws = version_draws("options", seed, prompt)
        seen = {tuple(range(n_options))}
        for _ in range(20 * self.n_versions):  # few options have few orders
            if len(seen) > self.n_versions:
                return
            order = tuple(shuffled(list(range(n_options)), draws))
            if order not in seen:
                has_lines = len(places) >= _FEWEST_OPTIONS
                yield _reordered(prompt, lines, places if has_lines else [], order, number=len(seen))
                seen.add(order)


def _reordered(prompt: Prompt, lines: list[str], places: list[int], order: tuple[int, ...], *, number: int) -> Prompt:
    """Return the version in which the i-th option is the original's order[i]-th."""
    variant = f"options {number}"
    attributes: dict[str, JSONValue] = {"change": "options", "order": list(order)}
    if not places:
        choices = [prompt.choices[origin] for origin in order]
        return prompt.changed(prompt.text, variant=variant, choices=choices, attributes=attributes)
    options = [found for place in places if (found := _OPTION_LINE.match(lines[place]))]
    changed = list(lines)
    for place, option, origin in zip(places, options, order, strict=True):
        changed[place] = option["head"] + options[origin]["text"]
    labels: dict[str, JSONValue] = {
        option["label"]: options[origin]["label"] for option, origin in zip(options, order, strict=True)
    }
    moved = {str(old): new for new, old in labels.items()}
    return prompt.changed(
        "\n".join(changed),
        variant=variant,
        references=[moved.get(gold, gold) for gold in prompt.references],
        # Choices that are labels stay offered as they are; texts move with their lines.
        choices=prompt.choices if _are_labels(prompt, moved) else _in_order(prompt.choices, order),
        attributes={**attributes, "labels": labels},
    )


def _are_labels(prompt: Prompt, moved: Mapping[str, str]) -> bool:
    return all(choice.strip() in moved for choice in prompt.choices)


def _in_order(choices: tuple[str, ...], order: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(choices[origin] for origin in order) if len(choices) == len(order) else choices


def _rule_problem(old: str, new: str) -> str | None:
    before, after = _BLANK.findall(old), _BLANK.findall(new)
    if len(before) > _MOST_BLANKS or len(set(before)) < len(before):
        return f"rule {old!r} has blanks {before}, must be at most {_MOST_BLANKS}, each with a name of its own"
    missing = sorted(set(after) - set(before))
    return f"paraphrase {new!r} has blanks {missing} that its rule {old!r} lacks" if missing else None


def _pattern(rule: str) -> re.Pattern[str]:
    pieces = _BLANK.split(rule)
    return re.compile(
        "".join(re.escape(piece) if place % 2 == 0 else f"(?P<{piece}>.+?)" for place, piece in enumerate(pieces))
    )
