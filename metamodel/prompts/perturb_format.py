r"""Format changes that keep the meaning: the same fields with other separators, casing, spaces and enumerations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from metamodel.prompts.base import Draws, refuse
from metamodel.prompts.perturb import PerturbedSource, number_problem, version_draws
from metamodel.types import JSONValue, Prompt

# What may stand between a descriptor and its text, between two fields, and around an option's label.
SEPARATORS: Final = (": ", ":", " : ", ":: ", " - ", " || ", ":\n", "\n", " ", "\t", "::: ", " :\n\t")
CONNECTORS: Final = ("\n", "\n\n", " ", "  ", " || ", " -- ", "; ", ", ", " <sep> ", ". ", "\n\t")
WRAPPERS: Final = ("({})", "{}.", "{})", "{} )", "[{}]", "<{}>", "{}:", "{} -")
CASINGS: Final = ("as it is", "lower", "upper", "title")
NUMBERINGS: Final = ("ABCDEFGHIJ", "abcdefghij", "1234567890", "I II III IV V VI VII VIII IX X")

# A descriptor opens a line, or is one of the customary ones anywhere: "Q: ... A:".
_DESCRIPTOR: Final = re.compile(
    r"(?:^[ \t]*(?P<line>[^\W\d_][\w \t]{0,38}\w|[^\W\d_])"
    r"|(?<!\w)(?P<inline>Question|Answer|Context|Passage|Input|Output|Q|A))(?:[ \t]?:)",
    re.MULTILINE,
)
_OPTION: Final = re.compile(r"^[ \t]*[(\[]?(?P<label>[A-Ja-j]|10|[1-9])[)\].:][ \t]+(?P<text>\S.*)$", re.MULTILINE)
_FEWEST_OPTIONS: Final = 2
_MOST_TRIES: Final = 50


@dataclass(frozen=True, kw_only=True)
class Option:
    """One offered answer: its label ("B") and text."""

    label: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Field:
    """A stretch of a prompt: its descriptor ("Question"; may be empty), its text and the options offered after it."""

    descriptor: str
    text: str
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Format:
    """How fields are written.

    Attributes:
        separator: Between a descriptor and its text.
        connector: Between two fields, and between two options.
        casing: Of descriptors.
        wrapper: Around an option's label.
        numbering: Labels of the options; empty keeps them.
    """

    separator: str
    connector: str
    casing: str
    wrapper: str
    numbering: str = ""


@dataclass(frozen=True, kw_only=True)
class FormatChanges(PerturbedSource):
    r"""Changed versions in other formats: "Q: Who? A:" -> "QUESTION || Who?\nANSWER ||".

    A prompt is read as fields, each a descriptor with a colon and its text, and options, each a line that begins with a
    label ("A.", "(b)", "3)"). A prompt without any descriptor becomes two fields, `descriptors`: a question and an
    empty answer. Each version writes them with a separator, a connector of fields, a casing of descriptors, a wrapper
    and a numbering of options drawn from fixed lists. The text of fields and options stays as it is. Where labels
    change, references and choices that are labels change with them, and the version's attribute `labels` maps the new
    ones to the old.

    Source: the grammar of Sclar et al., Quantifying Language Models' Sensitivity to Spurious Features in Prompt Design
    (2023), which also turns the descriptors' words into others; formats are drawn uniformly, without its search.

    Attributes:
        n_versions: Changed versions a prompt, all of them different.
        descriptors: Those of a prompt that has none; a pair of empty ones leaves such a prompt without a version.
        renumber: Whether labels of options may change.
    """

    n_versions: int = 4
    descriptors: tuple[str, str] = ("Question", "Answer")
    renumber: bool = True

    def __post_init__(self) -> None:
        """Refuse a number below one."""
        refuse(number_problem("n_versions", self.n_versions))
        super().__post_init__()

    def versions(self, prompt: Prompt, seed: int) -> Iterator[Prompt]:
        """Yield the versions in other formats."""
        fields = read_fields(prompt.text) or self._described(prompt.text)
        if not fields:
            return
        draws = version_draws("format", seed, prompt)
        seen = {prompt.text}
        for _ in range(_MOST_TRIES * self.n_versions):
            if len(seen) > self.n_versions:
                return
            layout = self._draw(draws)
            text = write_fields(fields, layout)
            if text in seen:
                continue
            yield _version(prompt, text, fields, layout, number=len(seen))
            seen.add(text)

    def _described(self, text: str) -> list[Field]:
        if not any(self.descriptors):
            return []
        question, answer = self.descriptors
        return [Field(descriptor=question, text=text.strip()), Field(descriptor=answer, text="")]

    def _draw(self, draws: Draws) -> Format:
        return Format(
            separator=draws.pick(SEPARATORS),
            connector=draws.pick(CONNECTORS),
            casing=draws.pick(CASINGS),
            wrapper=draws.pick(WRAPPERS),
            numbering=draws.pick(NUMBERINGS) if self.renumber else "",
        )


def read_fields(text: str) -> list[Field]:
    """Return a prompt's fields in their order; none where no descriptor stands in it.

    >>> [field.descriptor for field in read_fields("Q: Which? A:")]
    ['Q', 'A']
    """
    marks = list(_DESCRIPTOR.finditer(text))
    # A lone label in front of a colon ("B: Paris") is an option.
    marks = [mark for mark in marks if not _OPTION.match(text, mark.start())]
    if not marks:
        return []
    fields = [Field(descriptor="", text=text[: marks[0].start()].strip())] if text[: marks[0].start()].strip() else []
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    for mark, end in zip(marks, ends, strict=True):
        fields.append(_field(mark["line"] or mark["inline"], text[mark.end() : end]))
    return fields


def write_fields(fields: Sequence[Field], layout: Format) -> str:
    """Return fields as a prompt that ends where its last text does.

    >>> layout = Format(separator=" - ", connector=" || ", casing="lower", wrapper="({})")
    >>> write_fields(read_fields("Q: Which? A:"), layout)
    'q - Which? || a -'
    """
    parts = []
    for field in fields:
        head = _cased(field.descriptor, layout.casing) + layout.separator if field.descriptor else ""
        labels = new_labels(field.options, layout.numbering)
        options = [
            f"{layout.wrapper.format(label)} {option.text}" for label, option in zip(labels, field.options, strict=True)
        ]
        parts.append(layout.connector.join([(head + field.text), *options]))
    return layout.connector.join(parts).rstrip()


def new_labels(options: Sequence[Option], numbering: str) -> list[str]:
    """Return the labels of options in a numbering.

    >>> new_labels([Option(label="A", text="yes"), Option(label="B", text="no")], "I II III")
    ['I', 'II']
    """
    symbols = numbering.split() if " " in numbering else list(numbering)
    return symbols[: len(options)] if symbols else [option.label for option in options]


def _field(descriptor: str, content: str) -> Field:
    options = [Option(label=found["label"], text=found["text"].strip()) for found in _OPTION.finditer(content)]
    if len(options) < _FEWEST_OPTIONS or len(options) > len(NUMBERINGS[0]):
        return Field(descriptor=descriptor, text=content.strip())
    first = _OPTION.search(content)
    text = content[: first.start()] if first else content
    return Field(descriptor=descriptor, text=text.strip(), options=tuple(options))


def _cased(descriptor: str, casing: str) -> str:
    changes = {"lower": descriptor.lower(), "upper": descriptor.upper(), "title": descriptor.title()}
    return changes.get(casing, descriptor)


def _version(prompt: Prompt, text: str, fields: Sequence[Field], layout: Format, *, number: int) -> Prompt:
    options = next((field.options for field in fields if field.options), ())
    renamed = dict(zip((option.label for option in options), new_labels(options, layout.numbering), strict=True))
    attributes: Mapping[str, JSONValue] = {
        "change": "format",
        "separator": layout.separator,
        "connector": layout.connector,
        "casing": layout.casing,
    }
    if options:
        labels: dict[str, JSONValue] = {new: old for old, new in renamed.items()}
        attributes = {**attributes, "wrapper": layout.wrapper, "labels": labels}
    return prompt.changed(
        text,
        variant=f"format {number}",
        references=[renamed.get(gold, gold) for gold in prompt.references],
        choices=[renamed.get(choice.strip(), choice) for choice in prompt.choices],
        attributes=attributes,
    )
