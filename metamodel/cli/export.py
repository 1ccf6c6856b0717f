"""The command that writes a trained metamodel as a pre-screen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metamodel.cli.options import AsJson, RunPath

if TYPE_CHECKING:
    from metamodel.exporting.stage import Export


def export(  # noqa: PLR0913 - a command's options
    run: RunPath,
    metamodel: Annotated[
        str,
        typer.Argument(
            help="A metamodel's name in the config (its fit on the in_distribution fold), or the name of a fit: a "
            "folder below RUN/metamodels."
        ),
    ],
    folder: Annotated[Path, typer.Argument(help="Where to: new or empty.", metavar="DIR")],
    *,
    primary: Annotated[str, typer.Option(help="Whose fit, where there are several.", metavar="NAME")] = "",
    behavior: Annotated[
        list[str] | None,
        typer.Option(help="Behavior whose rule is taken from `metamodel threshold`; may be repeated. All by default."),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            help="A rule of your own: stop where the failures are likelier than the number. May be repeated.",
            metavar="BEHAVIOR=OUTCOME[,OUTCOME]:NUMBER",
        ),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Weights as whole numbers of 8 bits with scales.")] = False,
    false_alarm_rate: Annotated[
        float, typer.Option(help="Share of prompts like the training prompts that may be warned of as unlike them.")
    ] = 0.05,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a trained metamodel as a pre-screen: a folder that predicts and decides without torch.

    It holds the metamodel with all that it needs to predict, the rules that `metamodel threshold` chose (or --threshold
    states), what is known of the training prompts, and screen.json, which lists every file with its hash. The folder is
    loaded again and must predict what the trained metamodel predicts, within 1e-5.
    """
    from metamodel.exporting.stage import ExportRequest
    from metamodel.exporting.stage import export as export_metamodel
    from metamodel.store.run_directory import RunDirectory

    request = ExportRequest(
        metamodel=metamodel,
        primary=primary,
        behaviors=tuple(behavior or ()),
        thresholds=tuple(threshold or ()),
        int8=int8,
        false_alarm_rate=false_alarm_rate,
    )
    on_progress = None if as_json else lambda doing: typer.echo(doing, err=True)
    found = export_metamodel(RunDirectory.open(run), request, folder, dry_run=dry_run, on_progress=on_progress)
    if as_json:
        typer.echo(json.dumps({**found.to_dict(), "dry_run": dry_run}, indent=2))
        return
    _print(found, dry_run=dry_run)


def _print(found: Export, *, dry_run: bool) -> None:
    from metamodel.report.visible_text import plain

    typer.echo(f"{plain(found.fit)} ({found.kind}) predicts {plain(', '.join(found.behaviors[:12]))}")
    for rule in found.rules:
        failures = plain(" or ".join(rule.failures))
        promised = ""
        if rule.guarantee is not None:
            promised = f", risk {rule.guarantee.risk:g} with confidence {rule.guarantee.confidence:g}"
        typer.echo(f"{plain(rule.behavior)}: stop where p({failures}) > {rule.threshold:.4g}{promised}")
    for warning in found.warnings:
        typer.echo(f"warning: {warning}")
    if found.int8_difference is not None:
        typer.echo(f"int8 moves a probability by at most {found.int8_difference:.2g} on the prompts compared")
    if dry_run or found.n_bytes is None:
        typer.echo(f"would write {found.folder}")
        return
    typer.echo(
        f"loaded again: probabilities within {found.largest_difference:.1g}; {found.n_bytes / 2**20:.2f} MB\n"
        f"wrote {found.folder}"
    )
