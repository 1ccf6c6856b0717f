"""The command about transfer: metamodels of one primary model, scored on another's labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from metamodel.cli.options import AsJson, Quiet
from metamodel.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from metamodel.scaling.adjusting import Adjustment
    from metamodel.transfer.stage import Transfer


def transfer(  # noqa: PLR0913 - one argument an option
    runs: Annotated[list[str], typer.Argument(help="Evaluated run directories.", metavar="RUNS...")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder for figures, page and charts; transfer without.", metavar="FOLDER")
    ] = None,
    behavior: Annotated[list[str], typer.Option(help="Only this behavior; may be repeated.", metavar="NAME")] = [],  # noqa: B006 - typer reads the default and never changes it
    metamodel: Annotated[list[str], typer.Option(help="Only this metamodel; may be repeated.", metavar="NAME")] = [],  # noqa: B006 - the same
    split: Annotated[
        Literal["held_out_domain", "in_distribution"] | None, typer.Option(help="Only this split; both without.")
    ] = None,
    adjust: Annotated[
        str, typer.Option(help="How p is adjusted: fdr_bh, holm, bonferroni, by or none.", metavar="METHOD")
    ] = "fdr_bh",
    alpha: Annotated[float, typer.Option(help="Level of the verdicts.", min=0.0, max=1.0)] = 0.05,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be scored, score nothing.")] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Score every metamodel on every primary model's labels: metamodel transfer runs/zoo runs/real --out transfer.

    A metamodel never predicts a prompt, or on left-out domains a domain, that it was trained on.
    """
    from metamodel.console import stage_progress, stdout_console
    from metamodel.metric_rows import SPLITS
    from metamodel.transfer.files import to_document
    from metamodel.transfer.stage import plan_transfer
    from metamodel.transfer.writing import transfer_into

    method = _adjustment(adjust)
    plan = plan_transfer(
        runs, metamodels=metamodel or None, behaviors=behavior or None, splits=(split,) if split else SPLITS
    )
    if dry_run:
        typer.echo(json.dumps(plan.to_dict(), indent=2))
        return
    folder = out or Path("transfer")
    with stage_progress("transfer", quiet=quiet or as_json) as on_progress:
        found = transfer_into(plan, folder, adjust=method, alpha=alpha, on_progress=on_progress)
    if as_json:
        typer.echo(json.dumps(to_document(found)))
        return
    from metamodel.report.visible_text import plain

    for note in found.notes:
        typer.echo(plain(note, limit=400), err=True)
    stdout_console().print(_table(found))
    typer.echo(str(folder / "transfer.html"))


def _adjustment(value: str) -> Adjustment:
    from metamodel.scaling.adjusting import ADJUSTMENTS

    for known in ADJUSTMENTS:
        if value == known:
            return known
    raise ConfigError([f"--adjust is {value!r}, must be one of {', '.join(ADJUSTMENTS)}"], source="transfer")


def _table(found: Transfer) -> Table:
    from rich import box
    from rich.table import Table

    from metamodel.report.numbers import DASH, signed
    from metamodel.report.visible_text import plain
    from metamodel.transfer.sections import verdict_help

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=f"Transfer between {len(found.plan.targets)} primary models: means over pairs of two models",
        title_justify="left",
        caption=f"Bits over the best constant, 95 % intervals; carry: pairs that do. {verdict_help(found)}",
        caption_justify="left",
    )
    for heading in ("behavior", "metamodel", "split"):
        table.add_column(heading, overflow="fold")
    for heading in ("native", "foreign", "share", "worst domain"):
        table.add_column(heading, justify="right", overflow="fold")
    table.add_column("carry", justify="right", overflow="fold")
    table.add_column("verdict", overflow="fold")
    for one in found.behaviors:
        share = DASH
        if one.share is not None and one.share_high is not None:
            is_far = one.share_high < -1  # how far below matters to nobody
            share = "< -100%" if is_far else f"{one.share:.0%} [{one.share_low:.0%}, {one.share_high:.0%}]"
        foreign = DASH if one.bits is None else signed(one.bits)
        if one.low is not None and one.high is not None:
            foreign += f" [{signed(one.low)}, {signed(one.high)}]"
        worst = (
            DASH if one.worst_bits is None else f"{signed(one.worst_bits)} {plain(one.worst_domain or '', limit=20)}"
        )
        is_live = one.verdict not in (None, "nothing to carry")
        table.add_row(
            plain(one.behavior),
            plain(one.metamodel),
            "held out" if one.split == "held_out_domain" else "in dist.",
            DASH if one.native is None else signed(one.native),
            foreign,
            share,
            worst,
            f"{one.pairs.get('carries', 0)}/{one.n_pairs}",
            one.verdict or DASH,
            style="" if is_live else "dim",
        )
    return table
