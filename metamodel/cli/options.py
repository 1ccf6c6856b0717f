"""What several commands share: their arguments, and how they read a config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metamodel.config import RunConfig

ConfigPath = Annotated[str, typer.Argument(help="A YAML file, or the name of a bundled config.", metavar="CONFIG")]
Overrides = Annotated[
    list[str], typer.Option("--set", help="key.path=value, over what the file says; may be repeated.", metavar="K=V")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run directory that another config made.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]
Full = Annotated[bool, typer.Option("--full", help="Every metamodel in the table, not only the best ones.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
RunPath = Annotated[str, typer.Argument(help="A run directory: a folder or an fsspec URL.", metavar="RUN")]


def load(path: str, overrides: Sequence[str]) -> RunConfig:
    """Read a config by path or bundled name, with the overrides of `--set`."""
    from metamodel.bundled_configs import find_config
    from metamodel.config import load_config

    return load_config(find_config(path), overrides)
