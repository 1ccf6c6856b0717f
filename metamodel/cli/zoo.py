"""The commands of the bundled primary models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from metamodel.cli.options import AsJson, Quiet
from metamodel.errors import ConfigError

LADDER = "ladder"


def zoo_ls(*, as_json: AsJson = False) -> None:
    """List the bundled primary models: four architectures, and the ladder of sizes and checkpoints."""
    from metamodel.zoo.catalog import describe

    entries = describe()
    if as_json:
        typer.echo(json.dumps(entries, indent=2))
        return
    for entry in entries:
        typer.echo("  ".join(f"{key} {value}" for key, value in entry.items()))


def zoo_train(
    name: Annotated[
        str,
        typer.Argument(help="gpt2, gpt_neox, mamba2 or lstm; gpt_neox-small, -medium or -large; or ladder: all three."),
    ],
    directory: Annotated[
        Path | None, typer.Option(help="Where checkpoint, log and model go; runs/zoo/NAME without.")
    ] = None,
    n_tokens: Annotated[
        int | None, typer.Option(help="Tokens to read; as many as the bundled model without. Not for the ladder.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights and data.")] = 0,
    *,
    quiet: Quiet = False,
) -> None:
    """Train a bundled primary model from scratch, or the ladder's sizes; goes on from its last checkpoint."""
    from metamodel.zoo.ladder import LADDER_SIZES, ladder_plan, train_ladder_size

    def show(record: dict[str, object]) -> None:
        typer.echo("  ".join(f"{key} {value}" for key, value in record.items()), err=True)

    report = None if quiet else show
    target = directory or Path("runs/zoo") / name
    sizes = LADDER_SIZES if name == LADDER else (name,) if name in LADDER_SIZES else ()
    if not sizes:
        from metamodel.zoo.architectures import ZOO_NAMES
        from metamodel.zoo.catalog import refuse_unknown
        from metamodel.zoo.training import train_zoo_model

        refuse_unknown(name, (*ZOO_NAMES, *LADDER_SIZES, LADDER))
        typer.echo(train_zoo_model(name, target, n_tokens=n_tokens, seed=seed, report=report))
        return
    if n_tokens is not None:
        raise ConfigError(
            [f"--n-tokens is {n_tokens}, must be left out: the ladder's checkpoints lie at fixed tokens"], source=name
        )
    for size in sizes:
        folder = target / size if name == LADDER else target
        for path in train_ladder_size(size, folder, plan=ladder_plan(seed=seed), report=report):
            typer.echo(path)
