"""The command that turns shadow logs into what the next training run reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metamodel.cli.options import AsJson

if TYPE_CHECKING:
    from metamodel.feedback import FeedbackReport


def feedback(
    shadow_folder: Annotated[Path, typer.Argument(help="Folder that a gateway wrote.", metavar="SHADOW_FOLDER")],
    out: Annotated[
        Path, typer.Option(help="A new file .jsonl, or a folder for the table and a config that runs on it.")
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Turn a gateway's shadow log into recorded generations, and compare predictions with what the model then did."""
    from metamodel.feedback import CONFIG_FILE, write_feedback

    report = write_feedback(shadow_folder, out)
    if as_json:
        typer.echo(json.dumps({**report.to_dict(), "out": str(out)}, indent=2))
        return
    _show(report)
    if out.suffix == ".jsonl":
        typer.echo(f"wrote {out}: metamodel import {out}")
    else:
        typer.echo(f"wrote {out}: metamodel run {out / CONFIG_FILE}")


def _show(report: FeedbackReport) -> None:
    from rich.table import Table

    from metamodel.console import stdout_console

    would = ", ".join(f"{action} {count:,}" for action, count in report.would.most_common()) or "none"
    typer.echo(f"{report.n_files} files, {report.n_lines:,} lines; the policy said: {would}")
    typer.echo(f"written: {report.n_written:,} generations for {report.n_prompts:,} prompts")
    typer.echo(
        f"left out: {report.n_duplicates:,} duplicates, {report.n_bad:,} bad lines, "
        f"{report.n_without_output:,} calls without a whole output"
    )
    for problem in report.bad:
        typer.echo(f"  {problem}")
    if not report.predictions:
        typer.echo("no prediction has an outcome beside it: list the behaviors' featurizers at shadow.featurizers")
        return
    table = Table(title="predictions beside real outcomes")
    for column in ("behavior", "outputs", "rate", "predicted", "H(F) bits", "bits gained", "ECE", "AUROC"):
        table.add_column(column, justify="left" if column == "behavior" else "right")
    for one in report.predictions:
        figures = (one.base_rate, one.mean_predicted, one.entropy_bits, one.reduction_bits, one.ece, one.auroc)
        table.add_row(
            one.behavior, f"{one.n_outputs:,}", *("" if value is None else f"{value:.3f}" for value in figures)
        )
    stdout_console().print(table)
