"""The command that adds a new primary model to a trained metamodel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metamodel.cli.options import AsJson

if TYPE_CHECKING:
    from rich.table import Table

    from metamodel.adapt import Adaptation


def adapt(
    metamodel: Annotated[Path, typer.Argument(help="A saved metamodel that adapts: a `joint` one.")],
    labels: Annotated[Path, typer.Argument(help="Labeled prompts of the new primary model: .jsonl, .csv or .parquet.")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the adapted metamodel, new or empty.", metavar="FOLDER")
    ] = None,
    primary: Annotated[
        str, typer.Option(help="Name of the new primary model; its behaviors become NAME/BEHAVIOR.", metavar="NAME")
    ] = "",
    seed: Annotated[int, typer.Option(help="Seed of the fit.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and count the labels, fit nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Add a new primary model to a metamodel from few labeled prompts of it: a hundred, or what there is.

    The table has a column prompt and a column label (with a column behavior where the metamodel predicts several), or
    one column a behavior, named like it. Binary labels are 0 or 1 (no or yes), categorical ones a class, counts and
    reals a number; an empty label is missing; rows of one prompt are its samples. A column domain may be there and is
    only counted.

    Prints the bits saved beside the base rate of the same prompts, each predicted without having been seen, with a 95 %
    interval.
    """
    from metamodel.adapt import adapt as adapt_metamodel
    from metamodel.errors import MetamodelError

    if out is None and not dry_run:
        raise MetamodelError("--out is missing: name the folder for the adapted metamodel, or say --dry-run")
    found = adapt_metamodel(metamodel, labels, out=out, primary=primary, seed=seed, dry_run=dry_run)
    saved = None if dry_run else str(out)
    if as_json:
        typer.echo(json.dumps({**found.to_dict(), "metamodel": saved}, indent=2))
        return
    from metamodel.console import stdout_console

    stdout_console().print(_table(found))
    if found.n_domains:
        typer.echo(f"domains: {', '.join(f'{name} {count}' for name, count in list(found.n_domains.items())[:12])}")
    for one in found.behaviors:
        for warning in one.warnings:
            typer.echo(f"{one.behavior}: {warning}")
    if saved:
        typer.echo(f"wrote {saved}")


def _table(found: Adaptation) -> Table:
    from rich.table import Table

    table = Table(title="labels of the new primary model", title_justify="left")
    for column in ("behavior", "prompts", "labels", "outcomes", "bits saved a prompt, left out in turn"):
        table.add_column(column, justify="left" if column in {"behavior", "outcomes"} else "right")
    for one in found.behaviors:
        shown = ", ".join(f"{name} {count}" for name, count in list(one.outcomes.items())[:8])
        gain = f"{one.gain.value:+.3f} [{one.gain.low:+.3f}, {one.gain.high:+.3f}]" if one.gain else "-"
        table.add_row(one.behavior, str(one.n_prompts), str(one.n_labels), shown, gain)
    return table
