"""The command about weight perturbations: which behaviors move, which metamodels' predictions stop holding."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Final

import typer

from metamodel.cli.options import AsJson, Quiet, RunPath
from metamodel.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from metamodel.perturbations.rows import BehaviorChange, Moved, PredictionChange
    from metamodel.scaling.adjusting import Adjustment

_LEAST_SHOWN_P: Final = 1e-3


def perturb(
    run: RunPath,
    *,
    adjust: Annotated[
        str, typer.Option(help="How p is adjusted: holm, fdr_bh, bonferroni, by or none.", metavar="METHOD")
    ] = "holm",
    alpha: Annotated[float, typer.Option(help="Level of the verdicts.", min=0.0, max=1.0)] = 0.05,
    full: Annotated[bool, typer.Option("--full", help="Every row in the tables, not only what moved.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print which models are compared, read no label.")] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Compare every perturbed primary model of a run with its original, prompt by prompt.

    A run has perturbed models where its config lists them: {kind: perturbed, original: {kind: zoo, model: gpt2},
    perturbation: {kind: noise, scale: [0.01, 0.03, 0.1]}}. Writes RUN/perturb.json and plots/.
    """
    from metamodel.config import build_config
    from metamodel.console import stage_progress, stdout_console
    from metamodel.perturbations.charts import write_moved
    from metamodel.perturbations.lineage import derived_models
    from metamodel.perturbations.stage import moved
    from metamodel.store.run_directory import RunDirectory

    directory = RunDirectory.open(run)
    method = _adjustment(adjust)
    if dry_run:
        derived = derived_models(build_config(directory.config, source=f"{run}/run.json"))
        rows = [{"derived": one.name, "original": one.original, "change": one.label} for one in derived]
        typer.echo(json.dumps(rows, indent=2))
        return
    with stage_progress("perturb", quiet=quiet or as_json) as on_progress:
        found = moved(directory, adjust=method, alpha=alpha, on_progress=on_progress)
    paths = write_moved(directory, found)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
        return
    for note in found.notes:
        typer.echo(note, err=True)
    stdout_console().print(_behavior_table(found, full=full))
    if found.predictions:
        stdout_console().print(_prediction_table(found, full=full))
    for path in paths:
        typer.echo(f"{directory.path}/{path}")


def _adjustment(value: str) -> Adjustment:
    from metamodel.scaling.adjusting import ADJUSTMENTS

    for known in ADJUSTMENTS:
        if value == known:
            return known
    raise ConfigError([f"--adjust is {value!r}, must be one of {', '.join(ADJUSTMENTS)}"], source="perturb")


def _behavior_table(found: Moved, *, full: bool) -> Table:
    from metamodel.report.numbers import DASH, signed
    from metamodel.report.visible_text import plain

    rows = [row for row in found.behaviors if row.domain is None]
    moving = sum(row.moves for row in rows)
    table = _new_table(
        f"Behaviors that move: {moving} of {len(rows)} ({found.adjust}, level {found.alpha:g})",
        "Mean label of the original and of the derived model over the same prompts (a rate, where labels are yes or "
        "no), the change with its 95 % interval, and p of the sign-flip test, adjusted over all rows. Prompts: how "
        "many have other labels, of how many."
        + ("" if full else " Rows that do not move are left out; --full shows them."),
    )
    for heading in ("behavior", "derived"):
        table.add_column(heading, overflow="fold")
    for heading in ("original", "derived", "change", "", "prompts", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        if not (full or row.moves):
            continue
        interval = DASH if row.low is None or row.high is None else f"[{signed(row.low)}, {signed(row.high)}]"
        table.add_row(
            plain(_behavior_name(row), limit=40),
            plain(row.derived, limit=40),
            signed(row.original_mean),
            signed(row.derived_mean),
            signed(row.change),
            interval,
            f"{row.n_moved:,}/{row.n_prompts:,}",
            _p_text(row.p_adjusted),
            style="" if row.moves else "dim",
        )
    return table


def _prediction_table(found: Moved, *, full: bool) -> Table:
    from metamodel.report.numbers import SHORT_SPLIT_NAMES, signed
    from metamodel.report.visible_text import plain

    shown = [row for row in found.predictions if full or row.verdict in ("lost", "weaker", "stronger")]
    lost = sum(row.verdict == "lost" for row in found.predictions)
    table = _new_table(
        f"Predictions that stop holding: {lost} of {len(found.predictions)} lost ({found.adjust}, level "
        f"{found.alpha:g})",
        "Bits explained of the original's labels and of the derived model's by the metamodel trained on the original, "
        "on prompts held out from it; native: by one trained on the derived model. lost: significantly fewer, and the "
        "95 % interval of what is left reaches zero; weaker: fewer, some left. Held-out domains: mean over domains."
        + ("" if full else " Other rows are left out; --full shows them."),
    )
    for heading in ("metamodel", "behavior", "derived", "split"):
        table.add_column(heading, overflow="fold")
    for heading in ("original", "derived", "change", "", "native", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for row in shown:
        table.add_row(
            plain(row.metamodel, limit=28),
            plain(row.behavior, limit=28),
            plain(row.derived, limit=40),
            SHORT_SPLIT_NAMES[row.split],
            signed(row.original_bits),
            signed(row.derived_bits),
            signed(row.change_bits),
            _bits_interval(row),
            signed(row.native_bits),
            _p_text(row.p_adjusted),
            row.verdict,
            style="" if row.verdict in ("lost", "weaker", "stronger") else "dim",
        )
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


def _bits_interval(row: PredictionChange) -> str:
    from metamodel.report.numbers import signed

    return f"[{signed(row.low_bits)}, {signed(row.high_bits)}]"


def _behavior_name(row: BehaviorChange) -> str:
    return row.behavior if row.outcome is None else f"{row.behavior}={row.outcome}"


def _p_text(p: float) -> str:
    return f"<{_LEAST_SHOWN_P:g}" if p < _LEAST_SHOWN_P else f"{p:.3f}"
