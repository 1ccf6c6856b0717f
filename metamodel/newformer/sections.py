"""The page of the Newformer protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from metamodel.metric_rows import Split
from metamodel.newformer.gaps import CLOSED
from metamodel.newformer.results import Context, Gap, LearningPoint, Newformer, Sharing
from metamodel.report.elements import (
    Badge,
    Bullets,
    Cell,
    Column,
    DataTable,
    Element,
    Estimate,
    Grade,
    Heatmap,
    Lines,
    LineSeries,
    Section,
)

_GRADES: Final[dict[Sharing, Grade]] = {
    "shared": "good",
    "new only": "mixed",
    "known only": "mixed",
    "neither": "undefined",
    "undecided": "undefined",
}
_SPLIT_WORDS: Final[dict[Split, str]] = {"in_distribution": "known domains", "held_out_domain": "left-out domains"}


def sections_of(found: Newformer) -> list[Section]:
    """Return what is shared, who is alike, what is known before training and what labels are worth."""
    return [
        _gap_section(found),
        _context_section(found),
        _likeness_section(found),
        _zero_shot_section(found),
        *_learning_sections(found),
        *_note_sections(found),
    ]


def _gap_section(found: Newformer) -> Section:
    columns = [
        Column(name="behavior", facet="behavior"),
        Column(name="judged on", facet="split"),
        Column(name="all labels", kind="bits", help=f"Bits of {found.trainer}, trained on all labels there are."),
        Column(name="no label", kind="bits", help="Bits of the known metamodels' mean probabilities."),
        Column(name="worth", kind="number", help="Fewest labels with which training from scratch is as good as that."),
        Column(name="recalibrated", kind="number", help=_closes("a known metamodel bent by the labels")),
        Column(name="adapted", kind="number", help=_closes("a metamodel across primary models, given the labels")),
        Column(name="from scratch", kind="number", help=_closes("training on the labels alone")),
    ]
    table = DataTable(
        title="What closes the gap",
        summary="Labeled prompts of the new primary model. A dash: never within the labels there are.",
        columns=columns,
        rows=[_gap_row(gap) for gap in found.gaps],
    )
    lead = (
        f"How well existing metamodels predict {found.primary} before any training, and how many labels close the gap."
    )
    return Section(id="gap", title="How many labels it takes", lead=lead, elements=[table] if found.gaps else [])


def _closes(way: str) -> str:
    return f"Fewest labels with which {way} has {CLOSED:.0%} of the bits of all labels."


def _gap_row(gap: Gap) -> list[Cell]:
    return [
        gap.behavior,
        _SPLIT_WORDS[gap.split],
        gap.native_bits,
        gap.zero_shot_bits,
        gap.worth_labels,
        *(gap.closes_at.get(way) for way in ("recalibrated", "adapted", "from scratch")),
    ]


def _context_section(found: Newformer) -> Section:
    columns = [
        Column(name="behavior", facet="behavior"),
        Column(name="outcome"),
        Column(name="domain", facet="domain"),
        Column(name="who shows it", help=f"In more than {found.floor:.0%} of the outputs; Holm over all places."),
        Column(name="rate", kind="share", help="Of the new primary model, every prompt weighing the same."),
        Column(name="known, lowest", kind="share"),
        Column(name="known, highest", kind="share"),
        Column(name="nearest", help="The known primary model with the nearest rate."),
        Column(name="its rate", kind="share"),
    ]
    table = DataTable(
        title="Behaviors in their contexts",
        summary="shared: the new primary model and a known one show it; undecided: the outputs are too few to tell.",
        columns=columns,
        rows=[_context_row(one) for one in found.contexts],
    )
    return Section(
        id="contexts",
        title="Which behaviors it shares, and where",
        lead="Counts and reals cannot be shown or not: they appear below, in likeness and predictions.",
        elements=[table] if found.contexts else [],
    )


def _context_row(one: Context) -> list[Cell]:
    return [
        one.behavior,
        one.outcome,
        one.domain,
        Badge(text=one.sharing, grade=_GRADES[one.sharing]),
        Estimate(value=one.rate, low=one.low, high=one.high),
        one.known_low,
        one.known_high,
        one.nearest,
        one.nearest_rate,
    ]


def _likeness_section(found: Newformer) -> Section:
    behaviors = list(dict.fromkeys(one.behavior for one in found.likeness))
    known = list(dict.fromkeys(one.known for one in found.likeness))
    kappas = {(one.known, one.behavior): one.kappa for one in found.likeness}
    elements: list[Element] = []
    if behaviors:
        elements.append(
            Heatmap(
                title="Agreement beyond chance (kappa)",
                summary="Labels of the new primary model and of each known one on the same prompts; 1: always alike.",
                row_names=known,
                column_names=behaviors,
                values=[[kappas.get((name, behavior)) for behavior in behaviors] for name in known],
                unit="kappa",
                is_diverging=True,
            )
        )
    return Section(id="likeness", title="Whom it behaves like", lead="Prompt by prompt.", elements=elements)


def _zero_shot_section(found: Newformer) -> Section:
    columns = [
        Column(name="behavior", facet="behavior"),
        Column(name="trained on"),
        Column(name="metamodel", facet="metamodel"),
        Column(name="judged on", facet="split"),
        Column(name="prompts", kind="number", digits=0),
        Column(name="bits", kind="bits", help="Gained over the best constant on these very labels."),
        Column(name="AUROC", kind="number", digits=3),
        Column(
            name="p", kind="number", digits=4, help="That it gains bits; Benjamini-Hochberg over all rows with a p."
        ),
        Column(name="baseline"),
    ]
    rows: list[list[Cell]] = [
        [
            one.behavior,
            one.known,
            one.metamodel,
            _SPLIT_WORDS[one.split],
            one.n_prompts,
            Estimate(value=one.bits, low=one.low, high=one.high),
            one.auroc,
            one.p,
            "baseline" if one.is_baseline else "",
        ]
        for one in found.zero_shot
    ]
    table = DataTable(
        title="Known metamodels on the new primary model's labels",
        summary="Without a label of the new primary model, on prompts and domains that no fit saw.",
        columns=columns,
        rows=rows,
    )
    return Section(id="zero-shot", title="Before any training", elements=[table] if rows else [])


def _learning_sections(found: Newformer) -> Iterator[Section]:
    charts = [
        _lines(found, behavior, split)
        for behavior in found.behaviors
        for split in ("in_distribution", "held_out_domain")
        if any((point.behavior, point.split) == (behavior, split) for point in found.learning)
    ]
    if charts:
        lead = "Bits gained over the best constant, against labeled prompts; mean over draws of the labels."
        yield Section(id="learning", title="Learning curves", lead=lead, elements=charts)


def _lines(found: Newformer, behavior: str, split: Split) -> Lines:
    mine = [point for point in found.learning if (point.behavior, point.split) == (behavior, split)]
    zero = [point for point in mine if point.way == "zero-shot"]
    sizes = sorted({point.n_labeled for point in mine if point.n_labeled})
    series = [
        _series(way, [point for point in mine if point.way == way])
        for way in ("recalibrated", "adapted", "from scratch")
        if any(point.way == way for point in mine)
    ]
    if zero and sizes:  # no label: the same height everywhere
        ends = [sizes[0], sizes[-1]]
        series.append(LineSeries(name="no label", xs=ends, ys=[zero[0].bits] * 2, is_baseline=True))
    return Lines(
        title=f"{behavior}, {_SPLIT_WORDS[split]}",
        summary="Grey: the known metamodels' mean, which needs no label. Bands: 95 % intervals over judged prompts.",
        x_label="labeled prompts",
        y_label="bits gained",
        is_log_x=True,
        series=series,
        facets={"behavior": behavior, "split": split},
    )


def _series(way: str, points: Sequence[LearningPoint]) -> LineSeries:
    rising = sorted(points, key=lambda point: point.n_labeled)
    return LineSeries(
        name=way,
        xs=[point.n_labeled for point in rising],
        ys=[point.bits for point in rising],
        lows=[point.low for point in rising],
        highs=[point.high for point in rising],
        ns=[point.n_prompts for point in rising],
    )


def _note_sections(found: Newformer) -> Iterator[Section]:
    if found.notes:
        yield Section(id="notes", title="Notes", elements=[Bullets(lines=list(found.notes))])
