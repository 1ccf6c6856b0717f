"""The output's information as a section of a report."""

from __future__ import annotations

from collections.abc import Sequence

from metamodel.output_information import words
from metamodel.output_information.reading import information_from_dict
from metamodel.output_information.results import ExplainedRow, Figure, OutputInformation, PrimaryInformation
from metamodel.report.elements import (
    Bars,
    BarSeries,
    Bullets,
    Column,
    DataTable,
    Element,
    Estimate,
    Facets,
    Lines,
    LineSeries,
    Section,
)

_SHOWN_BARS = 16


def sections_of_file(content: object) -> list[Section]:
    """Return the section of what information.json holds; raises RunError where it is damaged."""
    return sections_of(information_from_dict(content))


def sections_of(found: OutputInformation) -> list[Section]:
    """Return the section: for every primary model bits by tokens, shares, and the tables behind them."""
    elements = [element for one in found.primaries for element in _elements(one, found)]
    if found.skipped:
        elements.append(Bullets(lines=[f"{name} left out: {reason}" for name, reason in found.skipped.items()]))
    return [
        Section(
            id="output-information",
            title="What outputs tell about prompts",
            lead=(
                "Every output scored under every prompt (equation 3 at the level of outputs): how many bits an output "
                "tells about its prompt, and which share of them a behavior or a metamodel's prediction explains."
            ),
            elements=elements,
        )
    ]


def _elements(one: PrimaryInformation, found: OutputInformation) -> list[Element]:
    facets: Facets = {"primary": one.primary}
    return [
        Bullets(lines=[f"{one.primary}: {line}" for line in (words.headline(one), words.gap_text(one), *one.notes)]),
        _curves(one, facets),
        _shares(one, found, facets),
        _rows_table(one, facets),
        _labels_table(one, facets),
    ]


def _curves(one: PrimaryInformation, facets: Facets) -> Lines:
    bounded = [length for length in one.lengths if length.high_bits is not None]
    return Lines(
        title=f"Bits that the first tokens of an output tell about its prompt, {one.primary}",
        summary=(
            f"I(Y; X) among {one.n_prompts} prompts, which is at most log2 n = {one.log_n_bits:.2f} bits, and an upper "
            "bound on the population's, with 95 % intervals."
        ),
        x_label="first tokens of the output",
        y_label="bits",
        series=[
            _line("among the sampled prompts", [(x.tokens, x.bits) for x in one.lengths]),
            _line("in the population, at most", [(x.tokens, x.high_bits) for x in bounded if x.high_bits]),
        ],
        is_log_x=True,
        y_limits=(0.0, 2.2 * one.log_n_bits),
        y_marks={"log2 n": one.log_n_bits},
        facets=facets,
    )


def _line(name: str, points: Sequence[tuple[int, Figure]]) -> LineSeries:
    return LineSeries(
        name=name,
        xs=[tokens for tokens, _ in points],
        ys=[figure.value for _, figure in points],
        lows=[figure.low for _, figure in points],
        highs=[figure.high for _, figure in points],
    )


def _shares(one: PrimaryInformation, found: OutputInformation, facets: Facets) -> Bars:
    within = found.ranked_by == "within_share"
    pairs = [(row, row.within_share if within else row.share) for row in words.shown_rows(one)]
    shown = [(row, share) for row, share in pairs if share is not None][:_SHOWN_BARS]
    return Bars(
        title=f"Share of the output's information explained, {one.primary}",
        summary=(
            f"{words.RANKED_BY[found.ranked_by]}: the first {one.ranked_tokens} tokens of outputs, 95 % intervals; the "
            f"first {len(shown)} of {len(pairs)} functions of the prompt."
        ),
        unit="share",
        categories=[f"{words.behavior_name(row)}, {words.reader_name(row)}" for row, _ in shown],
        series=[
            BarSeries(
                name="above chance",
                values=[share.value for _, share in shown],
                lows=[share.low for _, share in shown],
                highs=[share.high for _, share in shown],
            )
        ],
        is_points=True,
        facets=facets,
    )


def _rows_table(one: PrimaryInformation, facets: Facets) -> DataTable:
    return DataTable(
        title=f"Functions of the prompt, by the first {one.ranked_tokens} tokens of outputs, {one.primary}",
        summary=words.CAPTION,
        columns=[
            Column(name="B(X)"),
            Column(name="behavior", facet="behavior"),
            Column(name="bins", kind="number", digits=0),
            Column(name="I(Y; B)", kind="bits"),
            Column(name="chance", kind="bits"),
            Column(name="share", kind="share"),
            Column(name="within domains", kind="share"),
            Column(name="p", kind="number", digits=3, help="share of random partitions that explain as much"),
            Column(name="dH", kind="text"),
        ],
        rows=[
            [
                words.reader_name(row),
                words.behavior_name(row),
                row.n_bins,
                _estimate(row.bits),
                row.chance_bits,
                _estimate(row.share),
                _estimate(row.within_share),
                _p_value(row),
                words.reduction_text(row),
            ]
            for row in one.rows
        ],
        facets=facets,
    )


def _p_value(row: ExplainedRow) -> float:
    return row.p_value if row.within_p_value is None else row.within_p_value


def _labels_table(one: PrimaryInformation, facets: Facets) -> DataTable:
    return DataTable(
        title=f"Labels of whole outputs: I(Y; F) = H(F), {one.primary}",
        summary="* reads the prompt: no function of the output alone, so H(F) is only an upper bound on I(Y; F).",
        columns=[
            Column(name="behavior"),
            Column(name="labels", kind="number", digits=0),
            Column(name="H(F)", kind="bits"),
            Column(name="share of H(Y)", kind="share"),
        ],
        rows=[
            [
                row.behavior + "*" * row.reads_prompt,
                row.n_labeled,
                _estimate(row.entropy_bits),
                _estimate(row.share),
            ]
            for row in one.labels
        ],
        facets=facets,
    )


def _estimate(figure: Figure | None) -> Estimate:
    if figure is None:
        return Estimate(value=None)
    return Estimate(value=figure.value, low=figure.low, high=figure.high)
