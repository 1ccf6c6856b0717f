"""The command that looks at logs of outputs and writes a config for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from metamodel.cli.options import AsJson


def import_log(
    log: Annotated[str, typer.Argument(help="A log's file or folder, or a pattern in quotes.", metavar="LOG")],
    name: Annotated[str | None, typer.Option(help="Name of the job; the log's own without.")] = None,
    out: Annotated[Path | None, typer.Option(help="The config to write; NAME.yaml without.")] = None,
    log_format: Annotated[str | None, typer.Option("--format", help="Format; told by looking without.")] = None,
    columns: Annotated[
        list[str], typer.Option("--column", help="FIELD=COLUMN of a table, such as prompt=question; may be repeated.")
    ] = [],  # noqa: B006 - typer reads the default and never changes it
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what the log holds, write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at a log of outputs that exist already, say what it holds, and write a config that runs on it."""
    from metamodel.errors import MetamodelError
    from metamodel.recorded.naming import safe_name
    from metamodel.recorded.opening import open_log
    from metamodel.recorded.suggesting import suggested_config
    from metamodel.recorded.summary import summarize

    spec = _columns(columns)
    summary = summarize(open_log(log, format=log_format, columns=spec))
    job = safe_name(name or _own_name(log))
    target = out or Path(f"{job}.yaml")
    if not dry_run:
        if target.exists():
            raise MetamodelError(f"{target} exists already: name another file with --out")
        text = suggested_config(summary, name=job, file=str(target), format=log_format, columns=spec)
        try:
            target.write_text(text, encoding="utf-8")
        except OSError as error:
            raise MetamodelError(f"{target} cannot be written: {error.strerror or error}") from error
    if as_json:
        config = None if dry_run else str(target)
        typer.echo(json.dumps({**summary.to_dict(), "config": config}, indent=2))
        return
    from metamodel.console import stdout_console

    domains = list(summary.domains.items())
    shown = ", ".join(f"{domain} {count:,}" for domain, count in domains[:12])
    more = f" and {len(domains) - 12} more" if len(domains) > 12 else ""  # noqa: PLR2004 - as many as a line bears
    typer.echo(f"{summary.path}: {summary.format}, {summary.n_files} files, {summary.n_rows:,} rows")
    typer.echo(f"prompts: {summary.n_prompts:,} in {len(domains)} domains: {shown}{more}")
    typer.echo(f"samples a prompt: up to {summary.n_samples}; texts: {'yes' if summary.with_text else 'none'}")
    typer.echo(f"also known: {', '.join(summary.known) or 'nothing'}")
    typer.echo(f"recorded values: {', '.join(f'{key} ({kind})' for key, kind in summary.values.items()) or 'none'}")
    stdout_console().print(summary.table())
    if summary.n_unusable:
        typer.echo(f"{summary.n_unusable:,} rows cannot be used:")
        for problem in summary.unusable:
            typer.echo(f"  {problem}")
    if not dry_run:
        typer.echo(f"wrote {target}: metamodel run {target}")


def _own_name(log: str) -> str:
    """Return the name of a log's file or folder; of a pattern the folder that it is in."""
    plain = [part for part in log.split("/") if part and not any(mark in part for mark in "*?[")]
    last = plain[-1] if plain else "logs"
    return Path(last).stem if last == log.rsplit("/", 1)[-1] else last


def _columns(given: list[str]) -> dict[str, str | list[str] | None]:
    """Return `FIELD=COLUMN` options as a mapping; attributes may be given several times."""
    from metamodel.errors import MetamodelError
    from metamodel.recorded.columns import check_columns

    spec: dict[str, str | list[str] | None] = {}
    attributes: list[str] = []
    for option in given:
        field, separator, column = option.partition("=")
        if not separator or not field:
            raise MetamodelError(f"--column is {option!r}, must read FIELD=COLUMN, such as prompt=question")
        if field == "attributes":
            attributes.append(column)
        else:
            spec[field] = column or None
    if attributes:
        spec["attributes"] = attributes
    problem = check_columns(spec)
    if problem:
        raise MetamodelError(problem)
    return spec
