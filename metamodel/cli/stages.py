"""The commands that do stages of a config: run, collect, featurize, train, evaluate, report, and check beforehand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from metamodel.cli.options import AsJson, ConfigPath, Full, Overrides, Quiet, Resume, load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metamodel.collect import CollectReport
    from metamodel.config import RunConfig
    from metamodel.pipeline import Stage


def run(
    config: ConfigPath,
    overrides: Overrides = [],  # noqa: B006 - typer reads the default and never changes it
    *,
    resume: Resume = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    full: Full = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the config, print the plan, do nothing.")] = False,
) -> None:
    """Do all stages of a config: collect, featurize, train, evaluate, report."""
    from metamodel.pipeline import STAGES

    loaded = load(config, overrides)
    if dry_run:
        _print_plan(loaded, as_json=as_json)
        return
    _run_stages(loaded, STAGES, resume=resume, quiet=quiet, as_json=as_json, full=full)


def collect(
    config: ConfigPath,
    overrides: Overrides = [],  # noqa: B006 - typer reads the default and never changes it
    *,
    resume: Resume = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Draw once more what failed and may work now.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the config, print the plan, do nothing.")] = False,
) -> None:
    """Sample the primary models' outputs; draws only what is missing. What failed stays in errors/."""
    from metamodel.pipeline import run_stages

    loaded = load(config, overrides)
    if dry_run:
        _print_plan(loaded, as_json=as_json)
        return
    reports: list[CollectReport] = []
    directory = run_stages(
        loaded, ["collect"], resume=resume, quiet=quiet, retry_errors=retry_errors, on_collected=reports.append
    )
    _print_collected(directory.path, reports[0], as_json=as_json)


def featurize(
    config: ConfigPath,
    overrides: Overrides = [],  # noqa: B006 - typer reads the default and never changes it
    *,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Compute behavior labels over the stored generations."""
    _run_stages(load(config, overrides), ["featurize"], resume=resume, quiet=quiet)


def train(
    config: ConfigPath,
    overrides: Overrides = [],  # noqa: B006 - typer reads the default and never changes it
    *,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Fit every metamodel on every fold."""
    _run_stages(load(config, overrides), ["train"], resume=resume, quiet=quiet)


def evaluate(
    config: ConfigPath,
    overrides: Overrides = [],  # noqa: B006 - typer reads the default and never changes it
    *,
    resume: Resume = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    full: Full = False,
) -> None:
    """Judge every metamodel on the prompts its fold left out; writes metrics.json."""
    _run_stages(load(config, overrides), ["evaluate"], resume=resume, quiet=quiet, as_json=as_json, full=full)


def report(
    config: ConfigPath,
    overrides: Overrides = [],  # noqa: B006 - typer reads the default and never changes it
    *,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Write report.html and plots/ from what evaluate stored."""
    _run_stages(load(config, overrides), ["report"], resume=resume, quiet=quiet)


def check(
    config: ConfigPath,
    overrides: Overrides = [],  # noqa: B006 - typer reads the default and never changes it
    *,
    as_json: AsJson = False,
) -> None:
    """Check a config and print what it would do; reads prompt files, draws and writes nothing."""
    _print_plan(load(config, overrides), as_json=as_json)


def _run_stages(
    config: RunConfig,
    stages: Sequence[Stage],
    *,
    resume: bool,
    quiet: bool,
    as_json: bool = False,
    full: bool = False,
) -> None:
    from metamodel.console import stdout_console
    from metamodel.metric_rows import rows_from_json
    from metamodel.pipeline import run_stages

    directory = run_stages(config, stages, resume=resume, quiet=quiet)
    if "evaluate" in stages:
        text = directory.read_text("metrics.json")
        if as_json:
            typer.echo(text, nl=False)
            return
        from metamodel.comparisons import comparisons_from_json
        from metamodel.report.baselines import baseline_names
        from metamodel.report.terminal import summary_table

        table = summary_table(
            rows_from_json(text),
            baselines=baseline_names(config),
            comparisons=comparisons_from_json(directory.read_text("comparisons.json")),
            every=full,
        )
        stdout_console().print(table)
    typer.echo(f"{directory.path}/report.html" if "report" in stages else directory.path)


def _print_collected(path: str, report: CollectReport, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"directory": path, "primaries": report.to_dict()}, indent=2))
        return
    for name, done in report.primaries.items():
        counts = {
            "drawn": done.n_drawn,
            "failed for good": done.n_failed_final,
            "failed and may work another time": done.n_failed_retryable,
            "left": done.n_left,
        }
        parts = [f"{done.n_wanted} wanted", f"{done.n_found} found"]
        parts += [f"{count} {what}" for what, count in counts.items() if count or what == "drawn"]
        typer.echo(f"{name}: {', '.join(parts)}")
    typer.echo(path)
    if report.n_left:
        typer.echo("not all was drawn: the same command goes on", err=True)
    if report.n_failed_retryable:
        typer.echo("errors/ says why samples failed: collect --retry-errors draws them once more", err=True)


def _print_plan(config: RunConfig, *, as_json: bool) -> None:
    from metamodel.console import stdout_console
    from metamodel.plan import make_plan

    plan = make_plan(config)
    if as_json:
        typer.echo(json.dumps(plan.to_dict(), indent=2))
    else:
        stdout_console().print(plan.table())
