"""A run's report as sections: headlines, how to read it, what the models do, each primary model, pre-screens, facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from metamodel.metric_rows import names, select
from metamodel.report.behavior_sections import behavior_section
from metamodel.report.chart_tools import Chart
from metamodel.report.curve_sections import curve_group
from metamodel.report.elements import (
    Badge,
    Bullets,
    Column,
    DataTable,
    Drawing,
    Element,
    Excerpt,
    Group,
    Section,
    Terms,
    Widget,
    Words,
)
from metamodel.report.example_rows import MAX_EXAMPLES, example_cells, example_columns
from metamodel.report.html_tables import sample_rows
from metamodel.report.inputs import ReportInputs
from metamodel.report.prescreen_sections import prescreen_section
from metamodel.report.primary_sections import behavior_groups, summary_group
from metamodel.report.verdicts import Grade, SummaryLine, summarize
from metamodel.report.words import EXAMPLE_WORDS, GLOSSARY, HEADLINE_LEAD, RULES, THIS_PAGE

_FACT_LIMIT: Final = 400
# Drawings stand in for charts where no script runs; beyond this, a page opens slowly, and they are files anyway.
_DRAWINGS_BYTES: Final = 1_200_000
_GRADE_TEXTS: Final[dict[Grade, str]] = {
    "good": "beat every baseline",
    "mixed": "gain bits, but do not beat every baseline",
    "bad": "no better than the prior, or lose to a baseline",
    "undefined": "undefined",
}


def run_sections(inputs: ReportInputs, charts: Sequence[Chart], extra: Sequence[Section] = ()) -> list[Section]:
    """Return the sections of a run's report.

    Args:
        inputs: What to show.
        charts: The same charts as drawings, for readers without scripts.
        extra: Sections of other stages, before the pre-screens.
    """
    lines = summarize(inputs.rows, baselines=inputs.baselines, comparisons=inputs.comparisons)
    budget = _Drawings(charts)
    sections = [_headline_section(lines), _reading_section(inputs)]
    if inputs.behaviors is not None:
        sections.append(behavior_section(inputs.behaviors))
    # A widget among the extra sections shows prompts in full; the table stays for those without scripts.
    has_widget = any(isinstance(element, Widget) for section in extra for element in section.elements)
    most_examples = MAX_EXAMPLES // 5 if has_widget else MAX_EXAMPLES
    for number, primary in enumerate(names(inputs.rows, "primary"), start=1):
        place = f"primary-{number}"
        sections.append(_primary_section(inputs, primary, place, lines, budget, most_examples=most_examples))
    sections += extra
    if inputs.prescreens:
        sections.append(prescreen_section(inputs.prescreens))
    notes = [*inputs.notes, *budget.notes]
    if notes:
        sections.append(Section(id="notes", title="Notes", elements=[Bullets(lines=notes)]))
    if inputs.facts:
        sections.append(_fact_section(inputs.facts))
    return sections


class _Drawings:
    """The drawings that a page still has room for."""

    def __init__(self, charts: Sequence[Chart]) -> None:
        self.charts = charts
        self.n_left_out = 0
        self.n_bytes = 0

    def of(self, primary: str, *, stem: str, behavior: str | None = None) -> list[Drawing]:
        """Return the drawings of one figure that fit."""
        wanted = [
            chart
            for chart in self.charts
            if (chart.primary, chart.behavior) == (primary, behavior) and chart.name.startswith(stem)
        ]
        fitting = []
        for chart in wanted:
            if self.n_bytes + len(chart.svg) > _DRAWINGS_BYTES:
                self.n_left_out += 1
                continue
            self.n_bytes += len(chart.svg)
            fitting.append(Drawing(title=chart.title, summary=chart.caption, svg=chart.svg))
        return fitting

    @property
    def notes(self) -> list[str]:
        """What is said of those that did not fit."""
        if not self.n_left_out:
            return []
        return [f"Without scripts, {self.n_left_out} charts of this page are seen in the folder plots/ alone."]


def _primary_section(
    inputs: ReportInputs,
    primary: str,
    place: str,
    lines: Sequence[SummaryLine],
    drawings: _Drawings,
    *,
    most_examples: int,
) -> Section:
    rows = select(inputs.rows, primary=primary)
    summary = summary_group([line for line in lines if line.primary == primary], rows, inputs)
    elements: list[Element] = [summary, *drawings.of(primary, stem="bits-summary")]
    for group in behavior_groups(rows, inputs):
        elements += [group, *drawings.of(primary, stem="bits-domains", behavior=group.title)]
    curves = curve_group(inputs, primary)
    if curves:
        elements += [curves, *drawings.of(primary, stem="reliability"), *drawings.of(primary, stem="risk-coverage")]
    examples = [example for example in inputs.examples if example.primary == primary]
    if examples:
        # The primary models share what a page may hold.
        most = max(most_examples // len({example.primary for example in inputs.examples}), 1)
        shown = [examples[row] for row in sample_rows(len(examples), limit=most)]
        table = DataTable(
            title=f"Prompts of {primary}",
            summary=EXAMPLE_WORDS,
            columns=example_columns(),
            rows=[example_cells(example) for example in shown],
            n_total=len(examples),
        )
        elements.append(Group(title="Prompts, predictions and outputs", elements=[table]))
    return Section(id=place, title=f"Primary model {primary}", elements=elements, facets={"primary": primary})


def _headline_section(lines: Sequence[SummaryLine]) -> Section:
    held_out = [line for line in lines if line.split == "held_out_domain"]
    judged = held_out or list(lines)
    counts = Counter(line.verdict.grade for line in judged)
    shown: list[str | tuple[Badge, str]] = [
        (Badge(text=f"{counts[grade]} of {len(judged)}", grade=grade), text)
        for grade, text in _GRADE_TEXTS.items()
        if counts[grade]
    ]
    title = "On held-out domains" if held_out or not lines else "In distribution"
    nothing = Words(paragraphs=["No metrics: nothing was evaluated."])
    elements: list[Element] = [Bullets(lines=shown)] if shown else [nothing]
    lead = HEADLINE_LEAD if shown else ""
    return Section(id="headline", title=title, lead=lead, elements=elements)


def _reading_section(inputs: ReportInputs) -> Section:
    rule = RULES[bool(inputs.comparisons)]
    baselines = ", ".join(inputs.baselines) or "none"
    verdict = f"{rule} The prior is base_rate. Baselines here: {baselines}."
    return Section(
        id="reading",
        title="How to read the figures",
        elements=[Terms(pairs=[*GLOSSARY, ("Verdict", verdict), THIS_PAGE])],
    )


def _fact_section(facts: Mapping[str, object]) -> Section:
    table = DataTable(
        title="Facts of the run",
        columns=[Column(name="Fact"), Column(name="Value")],
        rows=[[key, Excerpt(text=value, limit=_FACT_LIMIT)] for key, value in flatten(facts)],
    )
    return Section(id="facts", title="How this was run", elements=[table])


def flatten(facts: Mapping[str, object], *, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested facts as dotted keys with printed values.

    >>> list(flatten({"seed": 1, "versions": {"torch": "2"}}))
    [('seed', '1'), ('versions.torch', '2')]
    """
    for key, value in facts.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flatten(value, prefix=f"{path}.")
        elif isinstance(value, list | tuple):
            yield path, ", ".join(str(item) for item in value)
        else:
            yield path, str(value)
