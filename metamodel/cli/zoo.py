"""The commands of the bundled primary models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from metamodel.cli.options import AsJson, Quiet


def zoo_ls(*, as_json: AsJson = False) -> None:
    """List the bundled primary models."""
    from metamodel.zoo.catalog import describe

    entries = describe()
    if as_json:
        typer.echo(json.dumps(entries, indent=2))
        return
    for entry in entries:
        typer.echo("  ".join(f"{key} {value}" for key, value in entry.items()))


def zoo_train(
    name: Annotated[str, typer.Argument(help="Name as `zoo ls` shows it.")],
    directory: Annotated[
        Path | None, typer.Option(help="Where checkpoint, log and model go; runs/zoo/NAME without.")
    ] = None,
    n_tokens: Annotated[int | None, typer.Option(help="Tokens to read; as many as the bundled model without.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights and data.")] = 0,
    *,
    quiet: Quiet = False,
) -> None:
    """Train a bundled primary model from scratch; goes on from its last checkpoint."""
    from metamodel.zoo.catalog import check_name
    from metamodel.zoo.training import train_zoo_model

    check_name(name)

    def show(record: dict[str, object]) -> None:
        typer.echo("  ".join(f"{key} {value}" for key, value in record.items()), err=True)

    target = directory or Path("runs/zoo") / name
    typer.echo(train_zoo_model(name, target, n_tokens=n_tokens, seed=seed, report=None if quiet else show))
