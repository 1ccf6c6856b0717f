"""The command that looks for drift in decisions that were written down."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from metamodel.cli.options import AsJson

if TYPE_CHECKING:
    from rich.table import Table

    from metamodel.screen.drift_replay import ReplayCount
    from metamodel.screen.drift_report import DriftReport


def monitor(
    folder: Annotated[Path, typer.Argument(help="What `metamodel export` wrote.", metavar="DIR")],
    decisions: Annotated[Path, typer.Argument(help="JSONL rows of `metamodel screen`, in the order of the traffic.")],
    *,
    outcomes: Annotated[
        Path | None,
        typer.Option(
            help='JSONL, a row a decision: {"failed": {BEHAVIOR: true}}. Without it those of the decisions are read.'
        ),
    ] = None,
    alpha: Annotated[float, typer.Option(help="Largest probability of a false alarm of each question.")] = 0.01,
    tolerated_odds: Annotated[
        float, typer.Option(help="Factor by which odds of failure may differ from the predicted ones.")
    ] = 1.2,
    as_json: AsJson = False,
) -> None:
    """Say whether prompts drifted away from the training prompts, and failures from what was predicted.

    Exit code 0 whatever is found, so that a report is no failure; --json says `has_drifted`.
    """
    from metamodel.errors import ConfigError
    from metamodel.screen.drift import DriftMonitor, DriftSettings
    from metamodel.screen.drift_replay import replay
    from metamodel.screen.folder import load_screen

    try:
        settings = DriftSettings.of(load_screen(folder), alpha=alpha, tolerated_odds=tolerated_odds)
    except ValueError as error:
        raise ConfigError([str(error)], source="monitor") from error
    watching = DriftMonitor(settings)
    with ExitStack() as files:
        count = replay(watching, _opened(decisions, files), None if outcomes is None else _opened(outcomes, files))
    report = watching.report()
    if as_json:
        lines = {"n_lines": count.n_lines, "n_errors": count.n_errors, "n_bad": count.n_bad}
        typer.echo(json.dumps({**report.to_dict(), **lines}, indent=2))
    else:
        _show(report, count)


def _opened(path: Path, files: ExitStack) -> IO[bytes]:
    from metamodel.errors import DataError

    try:
        return files.enter_context(path.open("rb"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def _show(report: DriftReport, count: ReplayCount) -> None:
    from metamodel.console import stdout_console
    from metamodel.report.visible_text import plain

    for told in count.bad:
        typer.echo(plain(told), err=True)
    if count.n_bad > len(count.bad):
        typer.echo(f"and {count.n_bad - len(count.bad):,} more bad lines", err=True)
    stdout_console().print(_table(report))
    typer.echo(_verdict(report))


def _table(report: DriftReport) -> Table:
    from rich import box
    from rich.table import Table

    from metamodel.report.numbers import DASH, signed
    from metamodel.report.visible_text import plain

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=f"{report.n_prompts:,} prompts, {report.n_unfamiliar:,} warned of as unlike the training prompts",
        title_justify="left",
        caption=(
            "Evidence: the largest so far, as a power of ten; without drift it ever reaches "
            f"{-_log10(report.alpha):.1f} with probability {report.alpha:g} at most, however often one looks. "
            "In brackets: 95 % interval that holds at all times together."
        ),
        caption_justify="left",
    )
    table.add_column("question", overflow="fold")
    for heading in ("seen", "predicted", "rate", "", "evidence"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    since = _since(report.inputs_drifted_since)
    table.add_row("prompts", f"{report.n_compared:,}", DASH, DASH, DASH, f"{report.log10_inputs:.1f}", since)
    for one in report.behaviors:
        name, seen = plain(one.behavior), f"{one.n_outcomes:,}"
        rates = (signed(one.predicted_rate), signed(one.seen_rate), f"[{one.low:.3f}, {one.high:.3f}]")
        if one.log10_calibration is not None:
            table.add_row(
                f"{name}: as predicted", seen, *rates, f"{one.log10_calibration:.1f}", _since(one.miscalibrated_since)
            )
        table.add_row(f"{name}: as before", seen, *rates, f"{one.log10_rate:.1f}", _since(one.changed_since))
    return table


def _log10(value: float) -> float:
    import math

    return math.log10(value)


def _since(step: int | None) -> str:
    return "" if step is None else f"drift, at number {step:,}"


def _verdict(report: DriftReport) -> str:
    from metamodel.report.visible_text import plain

    found = ["prompts are unlike the held-out ones"] if report.have_inputs_drifted else []
    for one in report.behaviors:
        name = plain(one.behavior)
        if one.is_miscalibrated:
            more = (one.seen_rate_of_predicted or 0) > (one.predicted_rate or 0)
            found.append(f"{name} fails {'more' if more else 'less'} often than predicted")
        if one.has_changed:
            found.append(f"{name} fails at another rate than before")
    if found:
        return f"drift: {'; '.join(found)}. Label recent prompts, train and export again, or choose the threshold anew."
    if report.n_compared == 0 and not report.behaviors:
        return "nothing to compare: the rows have no unfamiliarity (export again) and no outcomes"
    return "no drift found"
