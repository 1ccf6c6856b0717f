"""The command that shows what a run's primary models do."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from metamodel.cli.options import AsJson, RunPath


def behaviors(
    run: RunPath,
    *,
    examples: Annotated[bool, typer.Option(help="One output for each label.")] = True,
    as_json: AsJson = False,
) -> None:
    """Show base rates by domain and primary model, which behaviors come together, and outputs for each label."""
    from metamodel.behaviors.summary import summarize_behaviors
    from metamodel.behaviors.terminal import example_table, heat_tables, matrix_tables
    from metamodel.console import stdout_console
    from metamodel.store.run_directory import RunDirectory

    summary = summarize_behaviors(RunDirectory.open(run))
    if as_json:
        typer.echo(json.dumps(summary.to_dict(), indent=2))
        return
    console = stdout_console()
    for table in (*heat_tables(summary, width=console.width), *matrix_tables(summary, width=console.width)):
        console.print(table)
    if examples:
        console.print(example_table(summary))
