"""The page: one HTML file that opens from disk and can make no request."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from metamodel.metric_rows import names, select
from metamodel.report.behavior_tables import lay_out_behaviors
from metamodel.report.chart_tools import Chart
from metamodel.report.charts import draw_charts
from metamodel.report.example_rows import MAX_EXAMPLES, ExampleRow, example_row
from metamodel.report.inputs import ReportInputs
from metamodel.report.tables import DomainTable, SummaryTable, lay_out_domains, lay_out_summary
from metamodel.report.verdicts import Grade, SummaryLine, summarize
from metamodel.report.visible_text import plain, show

if TYPE_CHECKING:
    from jinja2 import Environment

_ASSETS: Final = Path(__file__).parent / "assets"
_FACT_LIMIT: Final = 400
_GRADE_TEXTS: Final[dict[Grade, str]] = {
    "good": "beat every baseline",
    "mixed": "gain bits, but do not beat every baseline",
    "bad": "no better than the prior, or lose to a baseline",
    "undefined": "undefined",
}


@dataclass(frozen=True, kw_only=True)
class BehaviorPart:
    """One behavior's chart and the figures behind it."""

    anchor: str
    name: str
    chart: Chart
    table: DomainTable


@dataclass(frozen=True, kw_only=True)
class PrimaryPart:
    """All that is said about one primary model."""

    anchor: str
    name: str
    summary: SummaryTable
    charts: Sequence[Chart]
    behaviors: Sequence[BehaviorPart]
    curves: Sequence[Chart]
    examples: Sequence[ExampleRow]
    n_examples: int


def render_report(inputs: ReportInputs, *, charts: Sequence[Chart] | None = None) -> str:
    """Return the report as the text of one HTML file.

    Whatever comes from data is escaped; styles and script are let in by their hashes alone, and the page's own policy
    forbids every request.

    Args:
        inputs: What to show.
        charts: What `draw_charts` gave for the same inputs, to save drawing twice.
    """
    drawn = draw_charts(inputs) if charts is None else charts
    lines = summarize(inputs.rows, baselines=inputs.baselines, comparisons=inputs.comparisons)
    style, script = _asset("report.css"), _asset("report.js")
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=plain(inputs.title),
            policy=content_security_policy(style=style, script=script),
            style=_trusted(style),
            script=_trusted(script),
            headlines=_headlines(lines),
            has_held_out=any(line.split == "held_out_domain" for line in lines),
            overview=_overview(inputs),
            parts=[
                _part(inputs, primary=primary, position=position, lines=lines, charts=drawn)
                for position, primary in enumerate(names(inputs.rows, "primary"), start=1)
            ],
            behaviors=None if inputs.behaviors is None else lay_out_behaviors(inputs.behaviors),
            prescreens=inputs.prescreens,
            baselines=[plain(name) for name in inputs.baselines],
            has_comparisons=bool(inputs.comparisons),
            notes=inputs.notes,
            facts=list(flatten(inputs.facts)),
            fact_limit=_FACT_LIMIT,
        )
    )
    # A lone surrogate cannot be written to a file; names have theirs shown, this is for what slipped through.
    return page.encode("utf-8", errors="replace").decode("utf-8")


def content_security_policy(*, style: str, script: str) -> str:
    """Return a policy that forbids every request and admits exactly one style sheet and one script."""
    return (
        f"default-src 'none'; style-src '{_hash_source(style)}'; script-src '{_hash_source(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


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


def _part(
    inputs: ReportInputs, *, primary: str, position: int, lines: Sequence[SummaryLine], charts: Sequence[Chart]
) -> PrimaryPart:
    rows = select(inputs.rows, primary=primary)
    mine = [chart for chart in charts if chart.primary == primary]
    examples = [example for example in inputs.examples if example.primary == primary]
    return PrimaryPart(
        anchor=f"primary-{position}",
        name=plain(primary),
        summary=lay_out_summary([line for line in lines if line.primary == primary]),
        charts=[chart for chart in mine if chart.name.startswith("bits-summary")],
        behaviors=[
            BehaviorPart(
                anchor=f"primary-{position}-behavior-{index}",
                name=plain(chart.behavior),
                chart=chart,
                table=lay_out_domains(select(rows, behavior=chart.behavior), metamodels=inputs.metamodels),
            )
            for index, chart in enumerate(mine, start=1)
            if chart.behavior is not None
        ],
        curves=[chart for chart in mine if chart.behavior is None and not chart.name.startswith("bits-summary")],
        examples=[example_row(example) for example in examples[:MAX_EXAMPLES]],
        n_examples=len(examples),
    )


def _headlines(lines: Sequence[SummaryLine]) -> list[tuple[Grade, int, int, str]]:
    """Return grade, how many behaviors of how many, and words, for held-out domains, or else what there is."""
    held_out = [line for line in lines if line.split == "held_out_domain"] or list(lines)
    counts = Counter(line.verdict.grade for line in held_out)
    return [(grade, counts[grade], len(held_out), text) for grade, text in _GRADE_TEXTS.items() if counts[grade]]


def _overview(inputs: ReportInputs) -> list[tuple[str, int]]:
    """Return what was counted, with the count."""
    return [
        ("primary models", len(names(inputs.rows, "primary"))),
        ("behaviors", len(names(inputs.rows, "behavior"))),
        ("domains", len(names(inputs.rows, "domain"))),
        ("trained metamodels", len([name for name in inputs.metamodels if name not in inputs.baselines])),
        ("baselines", len([name for name in inputs.metamodels if name in inputs.baselines])),
    ]


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["show"] = show
    environment.filters["drawn"] = _drawn
    return environment


def _drawn(chart: Chart) -> str:
    """Return a chart's SVG as markup: an XML writer has escaped every name in it."""
    return _trusted(chart.svg)


def _trusted(text: str) -> str:
    from markupsafe import Markup

    return Markup(text)  # noqa: S704  # the package's own files, and SVG that an XML writer escaped


@cache
def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _hash_source(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
