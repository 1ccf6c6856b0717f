"""The command about scale: scores against parameters and training tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metamodel.cli.options import AsJson
from metamodel.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from metamodel.scaling.adjusting import Adjustment
    from metamodel.scaling.mirage import Mirage
    from metamodel.scaling.model import Term
    from metamodel.scaling.stage import Errors, Scaling, TermRow
    from metamodel.scaling.verdicts import Trend

_LEAST_SHOWN_P = 0.001


_Mirage = Annotated[
    tuple[str, str] | None,
    typer.Option(help="Compare a linear metric's curve with a thresholded one's.", metavar="LINEAR THRESHOLDED"),
]
_LowerIsBetter = Annotated[
    bool | None,
    typer.Option("--lower-is-better/--higher-is-better", help="Which scores are good; else by the metric's name."),
]
_Parameters = Annotated[
    str | None, typer.Option(help="Column of the model's parameters; none leaves them out.", metavar="COLUMN")
]
_Tokens = Annotated[
    str | None, typer.Option(help="Column of the tokens trained on; none leaves them out.", metavar="COLUMN")
]


def scaling(  # noqa: PLR0913 - one argument an option
    table: Annotated[Path, typer.Argument(help="A CSV, TSV, Parquet or JSONL file, one score a row.")],
    *,
    score: Annotated[str | None, typer.Option(help="Column of the score or behavior.", metavar="COLUMN")] = None,
    parameters: _Parameters = None,
    tokens: _Tokens = None,
    task: Annotated[
        list[str], typer.Option(help="Column of the task; may be repeated: all together name it.", metavar="COLUMN")
    ] = [],  # noqa: B006 - typer reads the default and never changes it
    cluster: Annotated[
        str | None, typer.Option(help="Column of what rows belong together by (implies clustered).", metavar="COLUMN")
    ] = None,
    errors: Annotated[str | None, typer.Option(help="plain or clustered.", metavar="KIND")] = None,
    adjust: Annotated[
        str, typer.Option(help="How p is adjusted: fdr_bh, holm, bonferroni, by or none.", metavar="METHOD")
    ] = "fdr_bh",
    alpha: Annotated[float, typer.Option(help="Level of the verdicts.", min=0.0, max=1.0)] = 0.05,
    where: Annotated[
        list[str], typer.Option(help="Only rows with this value; may be repeated.", metavar="COLUMN=VALUE")
    ] = [],  # noqa: B006 - the same
    lower_is_better: _LowerIsBetter = None,
    score_range: Annotated[
        tuple[float, float] | None, typer.Option("--range", help="Refuse scores outside.", metavar="LOW HIGH")
    ] = None,
    mirage: _Mirage = None,
    mirage_threshold: Annotated[
        float | None, typer.Option(help="The same, with a threshold put on the score.", metavar="X")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for charts and rows.", metavar="FOLDER")] = None,
    as_json: AsJson = False,
) -> None:
    """Regress a score on log10 parameters, log10 tokens and their product, task by task, and flag inverse scaling."""
    from metamodel.scaling.files import write_scaling
    from metamodel.scaling.mirage import mirages
    from metamodel.scaling.stage import scaling as scale
    from metamodel.scaling.table import TableQuery, read_table

    kind = _kind_of_errors(errors, cluster)
    query = TableQuery(
        score=score,
        parameters=parameters,
        tokens=tokens,
        task=task,
        cluster=cluster,
        where=_conditions(where),
        lower_is_better=lower_is_better,
        score_range=score_range,
        more=mirage or (),
    )
    read = read_table(table, query)
    found = scale(read, errors=kind, adjust=_one_of("adjust", adjust), alpha=alpha)
    compared: list[Mirage] = []
    if mirage is not None or mirage_threshold is not None:
        compared = mirages(read, columns=mirage, threshold=mirage_threshold)
    files = write_scaling(out, found, compared) if out else []
    _print(found, compared, as_json=as_json)
    for path in files:
        typer.echo(str(path), err=as_json)


def _print(found: Scaling, compared: Sequence[Mirage], *, as_json: bool) -> None:
    for note in found.notes():
        typer.echo(note, err=True)
    rows = [row.to_dict() for row in found.rows]
    if as_json:
        document = {"rows": rows, "mirage": [one.to_dict() for one in compared]} if compared else rows
        typer.echo(json.dumps(document, indent=2))
        return
    from metamodel.console import stdout_console

    stdout_console().print(_table(found))
    if compared:
        stdout_console().print(_mirage_table(compared))


def _kind_of_errors(errors: str | None, cluster: str | None) -> Errors:
    if errors is None:
        return "plain" if cluster is None else "clustered"
    if errors == "plain":
        return "plain"
    if errors == "clustered":
        return "clustered"
    raise ConfigError([f"--errors is {errors!r}, must be plain or clustered"], source="scaling")


def _one_of(option: str, value: str) -> Adjustment:
    from metamodel.scaling.adjusting import ADJUSTMENTS

    for known in ADJUSTMENTS:
        if value == known:
            return known
    raise ConfigError([f"--{option} is {value!r}, must be one of {', '.join(ADJUSTMENTS)}"], source="scaling")


def _conditions(where: Sequence[str]) -> dict[str, str]:
    conditions = {}
    for text in where:
        column, equals, value = text.partition("=")
        if not equals:
            raise ConfigError([f"--where is {text!r}, must be COLUMN=VALUE"], source="scaling")
        conditions[column] = value
    return conditions


def _table(found: Scaling) -> Table:
    from rich import box
    from rich.table import Table

    from metamodel.report.visible_text import plain

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=f"Scaling of {len(found.fits)} tasks ({found.errors} errors)",
        title_justify="left",
        caption=(
            f"t with its degrees of freedom and p ({found.adjust} over {len(found.rows)} tests), of standardized log10 "
            f"parameters and tokens. inverse: the score gets worse, at the mean of the other and adjusted p <= "
            f"{found.alpha:g}. reverses: the slope changes sign there, within the range of the data; with ? the "
            "interaction or the slope at an end is not significant."
        ),
        caption_justify="left",
    )
    table.add_column("task", overflow="fold", min_width=16)
    terms = list(dict.fromkeys(row.term for row in found.rows))
    for term in terms:
        table.add_column(term, overflow="fold")
    table.add_column("verdict", overflow="fold", min_width=16)
    by_place = {(row.task, row.term): row for row in found.rows}
    for task in found.fits:
        verdicts = _verdict_texts(found.trends[task])
        cells = [_term_text(by_place[task, term]) for term in terms]
        table.add_row(plain(task, limit=60), *cells, "\n".join(verdicts), style="" if verdicts else "dim")
    return table


def _term_text(row: TermRow) -> str:
    p = f"p<{_LEAST_SHOWN_P:g}" if row.p_adjusted < _LEAST_SHOWN_P else f"p={row.p_adjusted:.3f}"
    return f"t({row.df})={row.t:.2f}, {p}"


def _verdict_texts(trends: Mapping[Term, Trend]) -> list[str]:
    from metamodel.scaling.verdicts import WHAT

    texts = []
    for term, trend in trends.items():
        parts = [] if trend.direction == "none" else [f"{trend.direction} {WHAT[trend.term]}"]
        if trend.reverses_at is not None and (parts or trend.reversal == "yes"):
            other = "tokens" if term == "parameters" else "parameters"
            doubt = "" if trend.reversal == "yes" else "?"
            parts.append(f"{'' if parts else WHAT[trend.term] + ' '}reverses{doubt} at {trend.reverses_at:.2g} {other}")
        texts += [", ".join(parts)] if parts else []
    return texts


def _mirage_table(compared: Sequence[Mirage]) -> Table:
    from rich import box
    from rich.table import Table

    from metamodel.report.numbers import DASH
    from metamodel.report.visible_text import plain

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=f"The same curve under {plain(compared[0].linear_name)} and {plain(compared[0].thresholded_name)}",
        title_justify="left",
        caption="emergence: range over the root of the median squared step (Schaeffer et al. 2023).",
        caption_justify="left",
    )
    for heading in ("task", "along"):
        table.add_column(heading, overflow="fold")
    for heading in ("emergence, linear", "thresholded"):
        table.add_column(heading, justify="right")
    table.add_column("", overflow="fold")
    for one in compared:
        scores = [one.linear_sharpness.score, one.thresholded_sharpness.score]
        shown = [DASH if score is None else f"{score:.2f}" for score in scores]
        table.add_row(plain(one.task, limit=40), one.along, *shown, plain(one.statement))
    return table
