"""The commands that list what there is: components, bundled configs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from metamodel.cli.options import AsJson


def components(
    group: Annotated[str | None, typer.Option(help="prompts, primaries, featurizers or trainers; all without.")] = None,
    *,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/behaviors.md: every featurizer.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what is registered: fields with defaults, and label spaces."""
    from metamodel.catalog import catalog, catalog_tables
    from metamodel.console import stdout_console

    if markdown:
        from metamodel.behaviors.docs import behaviors_markdown

        typer.echo(behaviors_markdown(), nl=False)
        return
    entries = catalog(group)
    if as_json:
        typer.echo(json.dumps([entry.to_dict() for entry in entries], indent=2))
        return
    for table in catalog_tables(entries):
        stdout_console().print(table)


def configs_ls() -> None:
    """List the bundled configs with their purpose."""
    from metamodel.bundled_configs import bundled_configs

    for name, purpose in bundled_configs().items():
        typer.echo(f"{name:<16} {purpose}")


def configs_cp(
    name: Annotated[str, typer.Argument(help="Name as `configs ls` shows it.")],
    target: Annotated[Path, typer.Argument(help="New file, or a folder.")] = Path(),
) -> None:
    """Copy a bundled config, to be changed."""
    from metamodel.bundled_configs import copy_config

    typer.echo(copy_config(name, target))
