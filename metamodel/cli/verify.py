"""The command that checks stored generations against their primary models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from metamodel.cli.options import AsJson, Quiet, RunPath

if TYPE_CHECKING:
    from rich.table import Table

    from metamodel.verify import Verification

DRIFTED_EXIT_CODE = 1


def verify(
    run: RunPath,
    *,
    redraw: Annotated[int, typer.Option(help="Generations to redraw from their seeds, a primary model.", min=0)] = 64,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Largest difference of a token's natural log-probability that passes; 0.002 without."),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Score stored generations again, redraw some, and say what drifted (exit code 1) or that nothing did."""
    from metamodel.console import stage_progress, stdout_console
    from metamodel.store.run_directory import RunDirectory
    from metamodel.verify import DEFAULT_TOLERANCE
    from metamodel.verify import verify as verify_run

    with stage_progress("verify", quiet=quiet or as_json) as on_progress:
        found = verify_run(
            RunDirectory.open(run),
            n_redraw=redraw,
            tolerance=DEFAULT_TOLERANCE if tolerance is None else tolerance,
            on_progress=on_progress,
        )
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
    else:
        for table in _tables(found):
            stdout_console().print(table)
        typer.echo("pass" if found.passes else "drifted: the stored generations are not what these models give now")
    if not found.passes:
        raise typer.Exit(DRIFTED_EXIT_CODE)


def _tables(found: Verification) -> list[Table]:
    from rich.table import Table

    summary = Table(title=f"log-probabilities within {found.tolerance:g}", title_justify="left")
    for column in ("primary model", "same weights", "generations", "scored", "largest drift", "drifted", "redrawn"):
        summary.add_column(column, justify="left" if column == "primary model" else "right")
    summary.add_column("different", justify="right")
    summary.add_column("left out")
    drifts = Table(title="what drifted (the first of each primary model)", title_justify="left")
    for column in ("primary model", "check", "prompt", "sample", "token", "stored", "now"):
        drifts.add_column(column)
    for check in found.primaries:
        summary.add_row(
            check.primary,
            "yes" if check.identity_stored == check.identity_now else "no",
            str(check.n_generations),
            str(check.n_scored),
            "-" if check.max_drift is None else f"{check.max_drift:.2g}",
            str(check.n_drifted),
            str(check.n_redrawn),
            str(check.n_different),
            "; ".join(check.skipped),
        )
        for drift in check.drifts:
            shown = ["-" if value is None else f"{value:.6g}" for value in (drift.stored, drift.now)]
            drifts.add_row(check.primary, drift.check, drift.prompt_id, str(drift.sample), str(drift.position), *shown)
    return [summary, drifts] if drifts.row_count else [summary]
