"""The page about checkpoints, as sections of elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from metamodel.checkpoints.drift import MeanTest
from metamodel.checkpoints.lasting import Checkpoint, Lasting, Pair
from metamodel.checkpoints.rates import MEAN_OVER_DOMAINS, Movements, Rate
from metamodel.checkpoints.stage import CheckpointsFound
from metamodel.report.elements import (
    Badge,
    Bullets,
    Cell,
    Column,
    DataTable,
    Estimate,
    Lines,
    LineSeries,
    Panels,
    Section,
)
from metamodel.report.numbers import DASH, SPLIT_NAMES

MOST_PANELS: Final = 24


def sections_of(found: CheckpointsFound) -> list[Section]:
    """Return the page: what rises and falls, how long metamodels last, and every pair."""
    sections = [_movement_section(found)]
    if found.pairs:
        sections += [_lasting_section(found), _pairs_section(found)]
    return [*sections, Section(id="checkpoint-notes", title="Notes", elements=[Bullets(lines=list(found.notes))])]


def tokens_text(tokens: float) -> str:
    """Write a number of tokens, or of parameters, shortly.

    >>> tokens_text(2_000_162), tokens_text(500_000), tokens_text(3e11)
    ('2M', '500k', '300B')
    """
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if tokens >= size:
            return f"{tokens / size:.3g}{unit}"
    return f"{tokens:.3g}"


def _movement_section(found: CheckpointsFound) -> Section:
    t_help = "t of the regression's term, per standard deviation; its sign is the direction"
    columns = [
        Column(name="behavior", facet="behavior"),
        Column(name="domain", facet="domain"),
        Column(name="over training"),
        Column(name="per tenfold tokens", kind="number", digits=3, help="change of the rate, at the mean size"),
        Column(name="t tokens", kind="number", digits=2, help=t_help),
        Column(name="p", kind="number", digits=4, help="two-sided, adjusted over all terms of all tasks"),
        Column(name="with size"),
        Column(name="t parameters", kind="number", digits=2, help=t_help),
        Column(name="t interaction", kind="number", digits=2, help=f"{t_help}; below zero larger sizes fall more"),
    ]
    table = DataTable(
        title="What rises and what falls",
        summary=(
            "Rates regressed on log10 parameters, log10 tokens and their product. A verdict stands where the term is "
            f"significant at {found.alpha:g} after adjustment; inverse: a score, which should rise, falls."
        ),
        columns=columns,
        rows=[_movement_row(one) for one in found.movements],
    )
    return Section(
        id="checkpoint-rates",
        title="Behaviors over training",
        lead="How often each behavior occurs at each checkpoint, and whether that rises or falls with tokens and size.",
        elements=[table, _rate_panels(found)],
    )


def _movement_row(one: Movements) -> Sequence[Cell]:
    verdict: Cell = Badge(text="inverse", grade="bad") if one.is_inverse else one.over_training
    tokens, parameters, product = one.tokens, one.parameters, one.product
    return [
        one.behavior,
        one.domain,
        verdict,
        tokens.per_decade if tokens else None,
        tokens.t if tokens else None,
        tokens.p_adjusted if tokens else None,
        one.with_size,
        parameters.t if parameters else None,
        product.t if product else None,
    ]


def _rate_panels(found: CheckpointsFound) -> Panels:
    places = list(dict.fromkeys((rate.behavior, rate.domain) for rate in found.rates))
    pooled = [place for place in places if place[1] == MEAN_OVER_DOMAINS]
    strength = {(one.behavior, one.domain): abs(one.tokens.t) if one.tokens else 0.0 for one in found.movements}
    others = sorted((place for place in places if place not in pooled), key=lambda place: -strength.get(place, -1.0))
    shown = [*pooled, *others][:MOST_PANELS]
    summary = "A line a size, over log10 tokens, with 95 % intervals over prompts; means over domains come first."
    if len(shown) < len(places):
        summary += f" {len(shown)} of {len(places)}, those that move most; the CSV holds all."
    return Panels(title="Rates", summary=summary, charts=[_rate_lines(found.rates, *place) for place in shown])


def _rate_lines(rates: Sequence[Rate], behavior: str, domain: str) -> Lines:
    mine = [rate for rate in rates if (rate.behavior, rate.domain) == (behavior, domain)]
    series = []
    for size in sorted({rate.parameters for rate in mine}):
        points = sorted((rate for rate in mine if rate.parameters == size), key=lambda rate: rate.tokens)
        series.append(
            LineSeries(
                name=f"{tokens_text(size)} parameters",
                xs=[one.tokens for one in points],
                ys=[one.rate for one in points],
                lows=[one.low for one in points],
                highs=[one.high for one in points],
                ns=[one.n_prompts for one in points],
            )
        )
    title = f"{behavior}, {domain}"
    return Lines(title=title, summary="", x_label="tokens", y_label="rate", series=series, is_log_x=True)


def _lasting_section(found: CheckpointsFound) -> Section:
    columns = [
        Column(name="metamodel", facet="metamodel"),
        Column(name="behavior", facet="behavior"),
        Column(name="split", facet="split"),
        Column(name="of"),
        Column(name="trained at"),
        Column(name="gains at home"),
        Column(name="wrong from", help="first later checkpoint on which it loses bits because behavior moved"),
        Column(name="no gain from", help="first later checkpoint on which no gain over the best constant can be shown"),
        Column(name="harmful from", help="first later checkpoint on which it is worse than the best constant"),
    ]
    table = DataTable(
        title="From which checkpoint a metamodel stops being right",
        summary=(
            "Against the metamodel trained on the judged checkpoint itself, on the same prompts, which neither saw. "
            f"Verdicts at {found.alpha:g}, p adjusted over all pairs ({found.adjust})."
        ),
        columns=columns,
        rows=[_lasting_row(one) for one in found.lasting],
    )
    return Section(
        id="checkpoint-lasting",
        title="How long a metamodel lasts",
        lead="Each row is a metamodel trained on one checkpoint and judged on every later one of its series.",
        elements=[table],
    )


def _lasting_row(one: Lasting) -> Sequence[Cell]:
    key = one.key
    wrong = _from_text(one.wrong_from) + ("" if one.wrong_from is None or one.stays_wrong else ", not always")
    return [
        key.metamodel,
        key.behavior,
        SPLIT_NAMES[key.split],
        key.series,
        tokens_text(one.source.tokens),
        "yes" if one.gains_at_home else "no",
        wrong,
        _from_text(one.useless_from),
        _from_text(one.harmful_from),
    ]


def _from_text(checkpoint: Checkpoint | None) -> str:
    return DASH if checkpoint is None else tokens_text(checkpoint.tokens)


def _pairs_section(found: CheckpointsFound) -> Section:
    columns = [
        Column(name="metamodel", facet="metamodel"),
        Column(name="behavior", facet="behavior"),
        Column(name="split", facet="split"),
        Column(name="of"),
        Column(name="trained at"),
        Column(name="judged at"),
        Column(name="prompts", kind="number", digits=0),
        Column(name="gain", kind="bits", help="over the best constant of the judged labels"),
        Column(name="over base rate", kind="bits", help="over the base rate trained on the judged checkpoint"),
        Column(name="loss", kind="bits", help="against the metamodel trained on the judged checkpoint"),
        Column(
            name="drift", kind="bits", help="by how much both do better at home than abroad, summed; 0 without drift"
        ),
        Column(name="p wrong", kind="number", digits=4, help="that it loses nothing or nothing moved, adjusted"),
    ]
    table = DataTable(
        title="Every metamodel on every later checkpoint",
        summary="Bits a prompt with 95 % intervals over prompts; trained and judged at one checkpoint is at home.",
        columns=columns,
        rows=[_pair_row(pair) for pair in found.pairs],
    )
    return Section(
        id="checkpoint-pairs",
        title="Earlier metamodels on later checkpoints",
        lead="The figures behind the verdicts above.",
        elements=[table],
    )


def _pair_row(pair: Pair) -> Sequence[Cell]:
    key, test, is_home = pair.key, pair.test, pair.source is pair.target
    return [
        key.metamodel,
        key.behavior,
        SPLIT_NAMES[key.split],
        key.series,
        tokens_text(pair.source.tokens),
        tokens_text(pair.target.tokens),
        test.n_prompts,
        _estimate(test.gain),
        _estimate(test.over_base_rate),
        None if is_home else _estimate(test.loss),
        None if is_home else _estimate(test.drift),
        pair.p_wrong_adjusted,
    ]


def _estimate(test: MeanTest | None) -> Cell:
    return None if test is None else Estimate(value=test.value, low=test.low, high=test.high)
