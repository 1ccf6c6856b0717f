"""The command that puts a trained metamodel on the Hugging Face hub."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from metamodel.cli.options import AsJson, RunPath


def push(
    run: RunPath,
    metamodel: Annotated[
        str,
        typer.Argument(
            help="A metamodel's name in the config (its fit on the in_distribution fold), or the name of a fit: a "
            "folder below RUN/metamodels."
        ),
    ],
    repository: Annotated[str, typer.Argument(help="Where to, as USER/NAME.", metavar="REPOSITORY")],
    *,
    primary: Annotated[str, typer.Option(help="Whose fit, where there are several.", metavar="NAME")] = "",
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the card and the files, send nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a trained metamodel with its card on the Hugging Face hub.

    The card says what it predicts, of which primary model, on which domains, and how well on known and on left-out
    domains. The key comes from HF_TOKEN or `hf auth login`. Anyone can read it back:

        PretrainedMetamodel.from_pretrained("USER/NAME").predict(["a prompt"])
    """
    from metamodel.cards.pushing import push_metamodel
    from metamodel.store.run_directory import RunDirectory

    pushed = push_metamodel(
        RunDirectory.open(run), metamodel, repository, primary=primary, is_private=private, dry_run=dry_run
    )
    if as_json:
        typer.echo(json.dumps(pushed.to_dict(), indent=2))
        return
    if dry_run:
        typer.echo(pushed.card)
    for name, n_bytes in pushed.files.items():
        typer.echo(f"{n_bytes:>12,} {name}")
    typer.echo(f"nothing was sent to {repository}" if dry_run else pushed.url)
