"""The command that searches the fields of trainers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from metamodel.cli.options import AsJson, ConfigPath, Overrides, Quiet, Resume, load

if TYPE_CHECKING:
    from rich.table import Table

    from metamodel.config.search import Space
    from metamodel.tune.stage import TuneWork
    from metamodel.tune.trials import TuneResult

_MOST_ROWS = 10


def tune(  # noqa: PLR0913 - one argument an option
    config: ConfigPath,
    overrides: Overrides = [],  # noqa: B006 - typer reads the default and never changes it
    *,
    trials: Annotated[int | None, typer.Option(help="Trials in all, in place of tune.n_trials.")] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds for each metamodel, in place of tune.timeout_s.", metavar="S")
    ] = None,
    metamodel: Annotated[str | None, typer.Option(help="Tune this one alone.", metavar="NAME")] = None,
    resume: Resume = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be searched, fit nothing.")] = False,
) -> None:
    """Search the fields that the config's `tune` section names, judged on left-out domains; goes on where it stood."""
    from metamodel.console import stage_progress, stdout_console
    from metamodel.store.run_directory import RunDirectory
    from metamodel.tune.stage import tune as tune_run
    from metamodel.tune.stage import tune_work

    loaded = load(config, overrides)
    run = RunDirectory.open(loaded.directory)
    if dry_run:
        work = tune_work(run, loaded, metamodel=metamodel, n_trials=trials, timeout_s=timeout)
        if as_json:
            typer.echo(json.dumps(work.to_dict(), indent=2))
        else:
            stdout_console().print(_work_table(work))
        return
    run = RunDirectory.create_or_open(loaded.directory, config=loaded.resolved, resume=resume)
    with stage_progress("tune", quiet=quiet or as_json) as on_progress:
        results = tune_run(
            run, loaded, metamodel=metamodel, n_trials=trials, timeout_s=timeout, on_progress=on_progress
        )
    if as_json:
        typer.echo(json.dumps([result.to_dict() for result in results], indent=2))
        return
    for result in results:
        stdout_console().print(_result_table(result))
        if result.is_out_of_time:
            typer.echo("the time was up: the same command goes on", err=True)
        typer.echo(f"{run.path}/{result.folder}/{'tuned.yaml' if result.best else 'trials.json'}")
    if len(results) > 1 and any(result.best for result in results):
        typer.echo(f"{run.path}/tune/tuned.yaml")


def _work_table(work: TuneWork) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    about = work.to_dict()
    table.add_row("never read", escape(", ".join(work.domains.final_domains)) or "nothing but the in-distribution test")
    table.add_row("read", f"{about['n_prompts']} prompts in {escape(', '.join(work.domains.domains))}")
    table.add_row("folds a trial", f"{about['n_folds']}, each leaves some of these domains out")
    table.add_row("trials", f"{work.plan.n_trials} a metamodel, the first with the config's own fields")
    for name in work.metamodels:
        spaces = work.plan.spaces[name]
        table.add_row(name, escape("\n".join(f"{field}: {_space_text(one)}" for field, one in spaces.items())))
    return table


def _space_text(searched: Space) -> str:
    space = searched.to_dict()
    if "choices" in space:
        return f"one of {json.dumps(space['choices'])}"
    step = f", in steps of {space['step']}" if space["step"] is not None else ""
    return f"from {space['low']} to {space['high']}{', by ratio' if space['log'] else ''}{step}"


def _result_table(result: TuneResult) -> Table:
    """Return the best trials, the config's own among them."""
    from rich import box
    from rich.table import Table

    from metamodel.report.numbers import signed
    from metamodel.report.visible_text import plain

    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"{plain(result.metamodel)}: bits gained on left-out domains, mean over primary models and behaviors",
        title_justify="left",
        caption=_caption(result),
        caption_justify="left",
    )
    names = list(result.trials[0].fields) if result.trials else []
    for heading in ("trial", "bits", "folds", "seconds", *names):
        table.add_column(heading, justify="right")
    table.add_column("")
    ranked = sorted(result.trials, key=lambda one: (one.state != "complete", -(one.worth_bits or 0), one.number))
    shown = ranked[:_MOST_ROWS]
    shown += [one for one in ranked[_MOST_ROWS:] if one.is_own and one.state == "complete"][:1]
    for trial in shown:
        note = {"complete": "", "pruned": "given up", "failed": plain(trial.problem, limit=60)}[trial.state]
        note = "the config's own" if trial.is_own and not note else note
        fields = [_number_text(trial.fields[name]) for name in names]
        folds = f"{len(trial.bits)}/{result.n_folds}"
        table.add_row(
            str(trial.number), signed(trial.worth_bits, digits=4), folds, f"{trial.seconds:.1f}", *fields, note
        )
    return table


def _caption(result: TuneResult) -> str:
    from metamodel.report.visible_text import plain

    never = plain(", ".join(result.final_domains)) or "the in-distribution test split"
    n_pruned = sum(trial.state == "pruned" for trial in result.trials)
    return (
        f"{len(result.trials)} trials, {n_pruned} given up after some folds. Never read, to judge in the end: {never}. "
        "The best of several trials looks better than it is: run tuned.yaml for a figure to report."
    )


def _number_text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
