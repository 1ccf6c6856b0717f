"""The command that compares two runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metamodel.cli.options import AsJson, Quiet
from metamodel.errors import ConfigError

if TYPE_CHECKING:
    from metamodel.compare.stage import RunComparison
    from metamodel.scaling.adjusting import Adjustment

_DEFAULT_ROWS = 40
_LEAST_DRAWS = 100
_SHOWN_CHANGES = 12


def compare(  # noqa: PLR0913 - one argument an option
    old: Annotated[str, typer.Argument(help="The run to compare with.", metavar="OLD")],
    new: Annotated[str, typer.Argument(help="The run that is judged.", metavar="NEW")],
    *,
    match: Annotated[
        list[str],
        typer.Option(
            help="Names of a metamodel, behavior or primary model that mean the same; may be repeated.",
            metavar="[KIND:]OLD=NEW",
        ),
    ] = [],  # noqa: B006 - typer reads the default and never changes it
    adjust: Annotated[
        str, typer.Option(help="How p is adjusted: holm, bonferroni, fdr_bh, by or none.", metavar="METHOD")
    ] = "holm",
    alpha: Annotated[float, typer.Option(help="Level of the verdicts.", min=0.0, max=1.0)] = 0.05,
    draws: Annotated[int, typer.Option(help="Bootstrap draws.", min=_LEAST_DRAWS)] = 1000,
    rows: Annotated[int, typer.Option(help="Most rows of each table.", min=1)] = _DEFAULT_ROWS,
    domains: Annotated[bool, typer.Option("--domains", help="Show single domains too.")] = False,
    fail_on_worse: Annotated[
        bool, typer.Option("--fail-on-worse", help="Exit with code 1 if a verdict over domains is worse.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for compare.json, compare.html and plots/.", metavar="DIR")
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Compare two runs on the prompts that both judged: paired differences in bits, with intervals and verdicts.

    Where the labels differ (another primary model, revision or sampling), rates, agreement and bits stand side by
    side without a verdict. Example: metamodel compare runs/main runs/branch --fail-on-worse --out compared
    """
    from metamodel.compare.files import write_comparison
    from metamodel.compare.stage import CompareOptions, compare_runs
    from metamodel.console import stage_progress
    from metamodel.store.run_directory import RunDirectory

    options = CompareOptions(matches=match, adjust=_adjustment(adjust), alpha=alpha, n_draws=draws)
    with stage_progress("compare", quiet=quiet or as_json) as on_progress:
        found = compare_runs(RunDirectory.open(old), RunDirectory.open(new), options, on_progress=on_progress)
    files = write_comparison(out, found) if out else []
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2, allow_nan=False))
    else:
        _print(found, n_rows=rows, has_domains=domains)
    for path in files:
        typer.echo(str(path), err=as_json)
    if fail_on_worse and found.is_worse:
        raise typer.Exit(1)


def _adjustment(value: str) -> Adjustment:
    from metamodel.scaling.adjusting import ADJUSTMENTS

    for known in ADJUSTMENTS:
        if value == known:
            return known
    raise ConfigError([f"--adjust is {value!r}, must be one of {', '.join(ADJUSTMENTS)}"], source="compare")


def _print(found: RunComparison, *, n_rows: int, has_domains: bool) -> None:
    from metamodel.compare.tables import difference_table, different_data_table, headline
    from metamodel.console import stdout_console
    from metamodel.report.visible_text import plain

    console = stdout_console()
    if any(row.rates is None for row in found.rows):
        console.print(difference_table(found, n_rows=n_rows, has_domains=has_domains))
    different = different_data_table(found, n_rows=n_rows, has_domains=has_domains)
    if different is not None:
        console.print(different)
    for note in found.notes:
        typer.echo(plain(note))
    changes = found.config_changes
    for line in changes[:_SHOWN_CHANGES]:
        typer.echo(f"setting {plain(line)}")
    if len(changes) > _SHOWN_CHANGES:
        typer.echo(f"and {len(changes) - _SHOWN_CHANGES} more settings differ (--json lists all)")
    typer.echo(headline(found))
