"""The command about training data against outputs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Final

import typer

from metamodel.cli.options import AsJson, Quiet, RunPath
from metamodel.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from metamodel.corpus.rows import Classified, CorpusComparison, PlaceRate
    from metamodel.corpus.stage import CorpusPlan
    from metamodel.scaling.adjusting import Adjustment
    from metamodel.store.run_directory import RunDirectory

_N_CLASSES: Final = 5  # but undecided


def corpus(  # noqa: PLR0913 - one argument an option
    run: RunPath,
    *,
    corpus: Annotated[
        list[str],
        typer.Option(
            help="Text file, folder, pattern, or .jsonl, .csv, .parquet; may be repeated. zoo: what the bundled models "
            "were trained on.",
            metavar="PATH",
        ),
    ],
    text_column: Annotated[str, typer.Option(help="Column of the text in tables.", metavar="COLUMN")] = "text",
    floor: Annotated[float, typer.Option(help="Rate from which a behavior counts as present.")] = 0.01,
    windows: Annotated[int, typer.Option(help="Most windows of the corpus that are measured.")] = 20_000,
    piece: Annotated[
        int, typer.Option(help="Characters beyond which places of one document are treated as independent.")
    ] = 2000,
    whole: Annotated[
        bool, typer.Option("--whole", help="The corpus is all of the training data: every window counts for itself.")
    ] = False,
    adjust: Annotated[
        str, typer.Option(help="How p is adjusted: holm, fdr_bh, bonferroni, by or none.", metavar="METHOD")
    ] = "holm",
    alpha: Annotated[float, typer.Option(help="Level of the decisions.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Fixes which windows are cut.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be measured, read no corpus.")] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Classify behaviors as shared with a corpus, contingent, unexpressed or idiosyncratic to the primary model.

    Example: metamodel corpus runs/plays --corpus texts/shakespeare. The corpus is cut into windows as long as the run's
    prompts and outputs, and the run's featurizers label both. Writes RUN/corpus.json and plots/.
    """
    from metamodel.corpus.stage import CorpusPlan
    from metamodel.store.run_directory import RunDirectory

    directory = RunDirectory.open(run)
    plan = CorpusPlan(
        paths=tuple(corpus),
        text_column=text_column,
        floor=floor,
        n_windows=windows,
        piece_characters=piece,
        is_whole=whole,
        adjust=_adjustment(adjust),
        alpha=alpha,
        seed=seed,
    )
    if dry_run:
        _print_plan(directory)
    else:
        _compare(directory, plan, quiet=quiet, as_json=as_json)


def _print_plan(directory: RunDirectory) -> None:
    from metamodel.config import build_config
    from metamodel.corpus.stage import measurable_events
    from metamodel.dataset import label_spaces

    config = build_config(directory.config, source=f"{directory.path}/run.json")
    events, notes = measurable_events(label_spaces(directory, config), config.behaviors)
    measured = {"behaviors": [written for _, _, written in events], "left_out": notes, "primaries": [*config.primaries]}
    typer.echo(json.dumps(measured, indent=2))


def _compare(directory: RunDirectory, plan: CorpusPlan, *, quiet: bool, as_json: bool) -> None:
    from metamodel.console import stage_progress, stdout_console
    from metamodel.corpus.charts import write_comparison
    from metamodel.corpus.stage import compare_with_corpus

    with stage_progress("corpus", quiet=quiet or as_json) as on_progress:
        found = compare_with_corpus(directory, plan, on_progress=on_progress)
    paths = write_comparison(directory, found)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
        return
    for note in found.notes:
        typer.echo(note, err=True)
    stdout_console().print(_table(found))
    for path in paths:
        typer.echo(f"{directory.path}/{path}")


def _adjustment(value: str) -> Adjustment:
    from metamodel.scaling.adjusting import ADJUSTMENTS

    for known in ADJUSTMENTS:
        if value == known:
            return known
    raise ConfigError([f"--adjust is {value!r}, must be one of {', '.join(ADJUSTMENTS)}"], source="corpus")


def _table(found: CorpusComparison) -> Table:
    from rich import box
    from rich.table import Table

    from metamodel.corpus.decision import CLASSES
    from metamodel.report.visible_text import plain

    clusters = "windows, each for itself" if found.is_whole else f"independent pieces, {found.n_windows:,} windows"
    n_clusters = found.n_windows if found.is_whole else found.n_pieces
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=f"Training data against outputs (floor {found.floor:g}, {found.adjust}, level {found.alpha:g})",
        title_justify="left",
        caption=(
            f"Corpus: {n_clusters:,} {clusters}, as long as prompts and outputs are. Rates with 95 % intervals. A "
            "place holds a behavior where its rate is shown to be above the floor, and lacks it where it is shown to "
            "be below; both tests are adjusted over all behaviors and places. Where the corpus is not what the model "
            "was trained on, idiosyncratic means absent from this corpus."
        ),
        caption_justify="left",
    )
    for heading in ("behavior", "primary", "class"):
        table.add_column(heading, overflow="fold")
    table.add_column("corpus", no_wrap=True)
    table.add_column("present in", overflow="fold")
    table.add_column("absent from", overflow="fold")
    table.add_column("unclear in", overflow="fold")
    for row in sorted(found.rows, key=lambda row: (row.primary, CLASSES.index(row.kind), row.behavior)):
        table.add_row(
            plain(row.behavior, limit=32),
            plain(row.primary, limit=28),
            _class_text(row),
            f"{_rate_text(row.corpus)} {row.corpus.state}",
            *(
                plain(", ".join(_context_text(one) for one in row.contexts if one.state == state), limit=400)
                for state in ("present", "absent", "unclear")
            ),
            style="dim" if row.kind in ("undecided", "neither") else "",
        )
    return table


def _class_text(row: Classified) -> str:
    # Where every class remains possible the list says nothing.
    is_open = row.kind == "undecided" and len(row.possible) < _N_CLASSES
    return f"undecided: {' or '.join(row.possible)}" if is_open else row.kind


def _context_text(place: PlaceRate) -> str:
    return f"{place.place} {'-' if place.rate is None else f'{place.rate:.3f}'}"


def _rate_text(place: PlaceRate) -> str:
    return "-" if place.rate is None else f"{place.rate:.3f} [{place.low:.3f}, {place.high:.3f}]"
