"""Charts: deterministic, safe to stand in a page, honest about what lies outside."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from metamodel.metric_rows import MetricsRow, rows_from_json, rows_to_json
from metamodel.report.chart_tools import Chart, bit_limits, safe_name
from metamodel.report.charts import draw_charts
from metamodel.report.inputs import ReliabilityCurve, ReportInputs, RiskCoverageCurve
from metamodel.report.palette import looks
from metamodel.report.plots import write_plots
from metamodel.report.svg import _inline

NewRow = Callable[..., MetricsRow]


def parsed(svg: str) -> ET.Element:
    """Return the root of a chart that this test has just drawn."""
    return ET.fromstring(svg)  # noqa: S314  # not from outside


def texts(chart: Chart) -> list[str]:
    """Return the words in a chart."""
    return [element.text or "" for element in parsed(chart.svg).iter() if element.tag.endswith("text")]


def test_the_same_inputs_give_the_same_bytes(small_inputs: ReportInputs) -> None:
    """A report that changes at every run cannot be compared or cached."""
    assert [chart.svg for chart in draw_charts(small_inputs)] == [chart.svg for chart in draw_charts(small_inputs)]


def test_ids_differ_between_charts_and_every_reference_resolves(small_inputs: ReportInputs) -> None:
    """Charts share one page: a repeated id would clip one chart with another's frame."""
    seen: set[str] = set()
    for chart in draw_charts(small_inputs):
        elements = list(parsed(chart.svg).iter())
        ids = [element.attrib["id"] for element in elements if "id" in element.attrib]
        assert len(ids) == len(set(ids))
        assert not seen & set(ids)
        seen |= set(ids)
        targets = [element.attrib["href"].removeprefix("#") for element in elements if "href" in element.attrib]
        clips = [
            e.attrib["clip-path"].removeprefix("url(#").removesuffix(")") for e in elements if "clip-path" in e.attrib
        ]
        assert targets
        assert set(targets) | set(clips) <= set(ids)


def test_charts_need_no_style_and_name_themselves(small_inputs: ReportInputs) -> None:
    """The page's policy refuses style attributes; a screen reader needs a name and a description."""
    for chart in draw_charts(small_inputs):
        root = parsed(chart.svg)
        tags = {element.tag.rsplit("}", 1)[-1] for element in root.iter()}
        assert not tags & {"style", "script", "metadata", "image", "foreignObject"}
        assert all("style" not in element.attrib for element in root.iter())
        assert root.attrib["role"] == "img"
        assert [child.text for child in root[:2]] == [chart.title, chart.caption]


def test_names_are_text_never_formulas_or_markup(small_inputs: ReportInputs, row: NewRow) -> None:
    """Domains come from files: a dollar sign, a tag, a bidi override or Chinese must neither crash nor act."""
    rows = [row(domain=name) for name in (None, "$x^2", "<script>alert(1)</script>", "a\u202eb\x00", "中文")]
    chart = draw_charts(replace(small_inputs, rows=rows))[1]
    assert {"$x^2", "<script>alert(1)</script>", "a<U+202E>b<U+0000>", "中文"} <= set(texts(chart))


def test_a_reader_sees_what_is_worse_than_a_constant(small_inputs: ReportInputs, row: NewRow) -> None:
    """Negative bars are hatched, not only shorter: the hatch appears with the first negative figure."""
    positive = [row(metamodel="bag"), row(metamodel="base_rate", reduction_bits=0.01, reduction_low_bits=0.0)]
    negative = [row(metamodel="bag"), row(metamodel="base_rate", reduction_bits=-0.1, reduction_low_bits=-0.2)]
    n_hatches = [
        draw_charts(replace(small_inputs, rows=rows))[0].svg.count("<pattern") for rows in (positive, negative)
    ]
    assert n_hatches[1] == n_hatches[0] + 1


def test_a_figure_off_the_axis_is_written_at_its_edge(small_inputs: ReportInputs, row: NewRow) -> None:
    """One metamodel that fails badly may not squeeze the others, nor vanish."""
    far = row(metamodel="base_rate", reduction_bits=-7.25, reduction_low_bits=-8.0, reduction_high_bits=-7.0)
    near = row(metamodel="bag")
    assert bit_limits([near, far])[0] > -1
    chart = draw_charts(replace(small_inputs, rows=[near, far]))[0]
    assert "\N{MINUS SIGN}7.25" in texts(chart)


def test_limits_hold_zero_intervals_and_ceiling(row: NewRow) -> None:
    """Nothing that fits the rule is cut off."""
    low, high = bit_limits([row(reduction_low_bits=-0.3, ceiling_high_bits=0.9)])
    assert low < -0.3
    assert high > 0.9
    assert bit_limits([])[0] < 0 < bit_limits([])[1]


def test_csv_holds_exactly_the_figures_drawn(small_inputs: ReportInputs) -> None:
    """Whoever draws the chart again from its CSV gets the same chart."""
    chart = next(chart for chart in draw_charts(small_inputs) if chart.behavior == "correct")
    lines = list(csv.DictReader(io.StringIO(chart.csv)))
    assert [line["domain"] for line in lines] == ["", "addition", "", "addition"]
    assert [float(line["reduction_bits"]) for line in lines] == [0.3, 0.3, -0.1, -0.1]
    assert rows_from_json(rows_to_json(small_inputs.rows)) == small_inputs.rows


def test_curves_get_their_charts_and_csv(small_inputs: ReportInputs) -> None:
    """Reliability without intervals and a curve of an unknown metamodel are drawn as well."""
    inputs = replace(
        small_inputs,
        reliability=[
            ReliabilityCurve(
                metamodel="other", behavior="correct", primary="gpt2", split="in_distribution",
                predicted=[0.1, 0.9], observed=[0.2, 0.8], weight=[0.5, 0.5],
            )
        ],
        risk_coverage=[
            RiskCoverageCurve(
                metamodel="bag", behavior="correct", primary="gpt2", split="held_out_domain",
                coverage=[0.5, 1.0], risk=[0.0, 0.25],
            )
        ],
    )  # fmt: skip
    charts = {chart.name: chart for chart in draw_charts(inputs)}
    assert charts["reliability--gpt2"].csv.splitlines()[1] == "other,correct,gpt2,in_distribution,0.1,0.2,0.5,,"
    assert charts["risk-coverage--gpt2"].csv.splitlines()[2] == "bag,correct,gpt2,held_out_domain,1.0,0.25"
    assert "no curve" in texts(charts["reliability--gpt2"])


def test_curves_of_unequal_columns_are_refused() -> None:
    """A bin without its frequency is a bug of whoever computed the curve."""
    place = {"metamodel": "bag", "behavior": "b", "primary": "p"}
    with pytest.raises(ValueError, match="reliability curve of 2 bins"):
        ReliabilityCurve(**place, split="in_distribution", predicted=[0, 1], observed=[0], weight=[1, 1])
    with pytest.raises(ValueError, match="1 coverages and 0 risks"):
        RiskCoverageCurve(**place, split="in_distribution", coverage=[1], risk=[])


def test_no_figures_no_charts(row: NewRow) -> None:
    """Undefined everywhere gives no chart, and no crash."""
    assert draw_charts(ReportInputs(title="", facts={}, rows=[row(reduction_bits=None)])) == []


def test_plots_are_written_with_their_figures(small_inputs: ReportInputs, tmp_path: Path) -> None:
    """Each chart is a file of its own, beside its CSV, whatever the primary model is called."""
    rows = [replace(one, primary="../Org/model:7B") for one in small_inputs.rows]
    written = write_plots(replace(small_inputs, rows=rows), tmp_path / "plots")
    assert {path.parent for path in written} == {tmp_path / "plots"}
    assert sorted(path.suffix for path in written) == [".csv", ".csv", ".svg", ".svg"]
    for path in written:
        if path.suffix == ".svg":
            assert parsed(path.read_text(encoding="utf-8").split("\n", 1)[1]).tag.endswith("svg")


@pytest.mark.parametrize("names", [("A", "a"), ("a/b", "a_b"), ("x" * 300, "x" * 301), ("é", "è"), ("..", "__")])
def test_different_names_make_different_files(names: tuple[str, str]) -> None:
    """Two primary models may differ in case or in a slash alone; file systems ignore that."""
    first, second = (safe_name("bits", name) for name in names)
    assert first != second
    assert set(first + second) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_")


def test_looks_tell_metamodels_apart() -> None:
    """Color and shape together are unique well past the number of colors, and baselines are never colored."""
    found = looks([f"m{i}" for i in range(12)] + ["base_rate", "domain_tag"], baselines=["base_rate", "domain_tag"])
    assert len({(look.color, look.marker) for look in found.values()}) == 14
    assert not {look.color for look in found.values() if look.is_baseline} & {found[f"m{i}"].color for i in range(12)}


@pytest.mark.parametrize(
    ("style", "attributes"),
    [
        (
            "font: 600 10px 'DejaVu Sans'; fill: #010203",
            {"font-size": "10", "font-weight": "600", "fill": "currentColor"},
        ),
        ("font-size: 8.5px; font-family: 'DejaVu Sans'; stroke: #0a6ebd", {"font-size": "8.5px", "stroke": "#0a6ebd"}),
    ],
)
def test_styles_become_attributes_whichever_matplotlib_wrote_them(style: str, attributes: dict[str, str]) -> None:
    """The shorthand of older releases and the single properties of newer ones give the same plain attributes."""
    element = ET.Element("text", {"style": style})
    _inline(element)
    assert element.attrib == attributes
