"""The command about checkpoints: what rises and falls over pretraining, and how long metamodels last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metamodel.cli.options import AsJson, Quiet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from metamodel.checkpoints.stage import CheckpointsFound, OpenedRun
    from metamodel.scaling.stage import TermRow

_LEAST_SHOWN_P = 0.001


def checkpoints(  # noqa: PLR0913 - one argument an option
    runs: Annotated[list[str], typer.Argument(help="Evaluated run directories.", metavar="RUN...")],
    *,
    table: Annotated[
        Path | None, typer.Option(help="A file with primary, parameters, tokens of models that are not the zoo's.")
    ] = None,
    behavior: Annotated[list[str], typer.Option(help="Only this behavior; may be repeated.", metavar="NAME")] = [],  # noqa: B006 - typer reads the default and never changes it
    metamodel: Annotated[list[str], typer.Option(help="Only this metamodel; may be repeated.", metavar="NAME")] = [],  # noqa: B006 - the same
    adjust: Annotated[
        str,
        typer.Option(help="How p of the pairs is adjusted: holm, fdr_bh, bonferroni, by or none.", metavar="METHOD"),
    ] = "holm",
    alpha: Annotated[float, typer.Option(help="Level of the verdicts.", min=0.0, max=1.0)] = 0.05,
    out: Annotated[Path | None, typer.Option(help="Folder for figures, charts and a page.", metavar="FOLDER")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be compared, compute nothing.")] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Say which behaviors rise or fall over pretraining, and from which checkpoint an earlier one's metamodel is wrong.

    The runs' primary models are checkpoints: of the zoo's ladder, or sized by --table. For example:
    metamodel run configs/zoo-ladder.yaml; metamodel checkpoints runs/zoo-ladder --out runs/zoo-ladder/checkpoints
    """
    from metamodel.checkpoints.files import write_checkpoints
    from metamodel.checkpoints.stage import follow_checkpoints, open_checkpoint_runs
    from metamodel.console import stage_progress, stdout_console
    from metamodel.errors import ConfigError
    from metamodel.scaling.adjusting import ADJUSTMENTS

    method = next((known for known in ADJUSTMENTS if known == adjust), None)
    if method is None:
        raise ConfigError([f"--adjust is {adjust!r}, must be one of {', '.join(ADJUSTMENTS)}"], source="checkpoints")
    opened = open_checkpoint_runs(runs)
    if dry_run:
        typer.echo(json.dumps(_plan(opened, table), indent=2))
        return
    with stage_progress("checkpoints", quiet=quiet or as_json) as on_progress:
        found = follow_checkpoints(
            opened,
            table=table,
            behaviors=behavior,
            metamodels=metamodel,
            adjust=method,
            alpha=alpha,
            on_progress=on_progress,
        )
    files = write_checkpoints(out, found) if out else []
    for note in found.notes:
        typer.echo(note, err=True)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
    else:
        stdout_console().print(_movement_table(found))
        if found.lasting:
            stdout_console().print(_lasting_table(found))
    for path in files:
        typer.echo(str(path), err=as_json)


def _plan(opened: Sequence[OpenedRun], table: Path | None) -> dict[str, object]:
    from metamodel.checkpoints.sizes import sizes_of

    sizes = sizes_of([one.config for one in opened], table)
    return {
        "checkpoints": [vars(one) for one in sizes.checkpoints.values()],
        "unknown": list(sizes.unknown),
        "behaviors": list(dict.fromkeys(name for one in opened for name in one.config.behaviors)),
        "metamodels": list(dict.fromkeys(name for one in opened for name in one.config.metamodels)),
    }


def _movement_table(found: CheckpointsFound) -> Table:
    from metamodel.report.visible_text import plain

    is_score = sum(one.is_inverse is not None for one in found.movements)
    table = _new_table(
        "What rises and what falls over training",
        "Change of the rate for tenfold tokens at the mean size, with t and p (adjusted over all terms). size, size x "
        f"tokens: t of the other terms. inverse: a score that should rise falls ({is_score} rows are scores). Dim: no "
        "clear movement over training.",
    )
    for heading in ("behavior", "domain"):
        table.add_column(heading, overflow="fold")
    for heading in ("per tenfold", "t", "p", "size", "size x tokens"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict")
    for one in found.movements:
        verdict = "inverse" if one.is_inverse else "" if one.over_training == "none" else one.over_training
        row = one.tokens
        table.add_row(
            plain(one.behavior, limit=40),
            plain(one.domain, limit=40),
            f"{row.per_decade:+.3f}" if row else "",
            _t_text(row),
            ""
            if row is None
            else f"<{_LEAST_SHOWN_P:g}"
            if row.p_adjusted < _LEAST_SHOWN_P
            else f"{row.p_adjusted:.3f}",
            _t_text(one.parameters),
            _t_text(one.product),
            verdict,
            style="" if verdict else "dim",
        )
    return table


def _t_text(row: TermRow | None) -> str:
    return "" if row is None else f"{row.t:.2f}"


def _lasting_table(found: CheckpointsFound) -> Table:
    from metamodel.checkpoints.sections import tokens_text
    from metamodel.report.numbers import DASH, SHORT_SPLIT_NAMES
    from metamodel.report.visible_text import plain

    table = _new_table(
        "From which checkpoint on a metamodel is wrong",
        "wrong: it loses bits against the metamodel trained there, because behavior moved (p adjusted over all pairs, "
        f"{found.adjust}, {found.alpha:g}). no gain: no bits over the best constant there can be shown, though it "
        "gained at home. In a cell, the first such checkpoint for each checkpoint trained on, in order.",
    )
    groups: dict[tuple[str, str, str, str], list[list[str]]] = {}
    for one in found.lasting:
        key = (one.key.metamodel, one.key.behavior, SHORT_SPLIT_NAMES[one.key.split], one.key.series)
        cells = groups.setdefault(key, [[], [], []])
        cells[0].append(tokens_text(one.source.tokens))
        cells[1].append(tokens_text(one.wrong_from.tokens) if one.wrong_from else DASH)
        useless = tokens_text(one.useless_from.tokens) if one.useless_from else DASH
        cells[2].append(useless if one.gains_at_home else "(none)")
    for heading in ("metamodel", "behavior", "split", "of", "trained at", "wrong from", "no gain from"):
        table.add_column(heading, overflow="fold")
    for key, cells in groups.items():
        table.add_row(*(plain(part, limit=40) for part in key), *(" ".join(column) for column in cells))
    return table


def _new_table(title: str, caption: str) -> Table:
    from rich import box
    from rich.table import Table

    return Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=title,
        title_justify="left",
        caption=caption,
        caption_justify="left",
    )
