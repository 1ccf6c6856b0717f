"""What discover found, as a part of the report: from discoveries.json to sections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from metamodel.report.elements import (
    Badge,
    Bullets,
    Cell,
    Column,
    DataTable,
    Detailed,
    Element,
    Estimate,
    Excerpt,
    Section,
)
from metamodel.report.stored_rows import estimate_of, flag_of, number_of, rows_under, text_of, texts_under

_MOST_EXAMPLES: Final = 60
_SLICE_COLUMNS: Final = (
    Column(name="slice", help="Which prompts; it may hold words of prompts."),
    Column(name="primary model", facet="primary"),
    Column(name="behavior", facet="behavior"),
    Column(name="metamodel", facet="metamodel"),
    Column(name="split", facet="split"),
    Column(name="verified", help="On the half of the prompts that was not searched; Holm over all candidates."),
    Column(name="prompts", kind="number", digits=0, help="Of the slice, in that half."),
    Column(name="surprise", kind="bits", help="Excess surprise inside less outside, within domains, bits a prompt."),
    Column(name="rate", kind="number", digits=3, help="Observed less predicted rate, inside less outside."),
    Column(name="p", kind="number", digits=4, help="Adjusted."),
)
_EXAMPLE_COLUMNS: Final = (
    Column(name="slice"),
    Column(name="why"),
    Column(name="domain", facet="domain"),
    Column(name="prompt"),
    Column(name="output"),
    Column(name="label"),
    Column(name="given", kind="share", help="Probability that was predicted for the label."),
)


def sections_of_file(content: object) -> list[Section]:
    """Return the section of what discoveries.json holds."""
    found = rows_under(content, "candidates")
    verified = [row for row in found if flag_of(row, "is_verified")]
    lead = (
        "Slices of prompts in which predictions are off beyond what metamodels expect of themselves: candidates for a "
        "behavior that nobody has named. Searched in one half of the prompts, tested in the other."
    )
    elements: list[Element] = [
        DataTable(
            title="Slices that stood out",
            summary=f"{len(verified)} of {len(found)} candidates are verified; the others are shown as what they are.",
            columns=_SLICE_COLUMNS,
            rows=[_slice_row(row) for row in found],
        )
    ]
    examples = [(row, example) for row in verified for example in rows_under(row, "examples")]
    if examples:
        elements.append(
            DataTable(
                title="Examples of verified slices",
                columns=_EXAMPLE_COLUMNS,
                rows=[_example_row(row, example) for row, example in examples[:_MOST_EXAMPLES]],
                n_total=len(examples),
            )
        )
    notes = texts_under(content, "notes")
    if notes:
        elements.append(Bullets(lines=notes))
    return [Section(id="discoveries", title="Where metamodels are wrong", lead=lead, elements=elements)]


def _slice_row(row: Mapping[str, object]) -> list[Cell]:
    is_verified = flag_of(row, "is_verified")
    share = number_of(row, "largest_domain_share")
    where = f"{text_of(row, 'largest_domain')} {share:.0%}" if share is not None else ""
    return [
        Detailed(text=text_of(row, "slice"), detail=where),
        text_of(row, "primary"),
        text_of(row, "behavior"),
        text_of(row, "metamodel"),
        text_of(row, "split"),
        Badge(text="verified" if is_verified else "not verified", grade="good" if is_verified else "undefined"),
        number_of(row, "n_inside"),
        _figure(row, "bits"),
        _figure(row, "rate"),
        number_of(row, "p_adjusted"),
    ]


def _figure(row: Mapping[str, object], key: str) -> Estimate:
    return estimate_of(row.get(key), "value", "low", "high")


def _example_row(row: Mapping[str, object], example: Mapping[str, object]) -> list[Cell]:
    return [
        text_of(row, "slice"),
        text_of(example, "why"),
        text_of(example, "domain"),
        Excerpt(text=text_of(example, "prompt")),
        Excerpt(text=text_of(example, "output")),
        text_of(example, "label"),
        number_of(example, "prediction"),
    ]
