"""The command line: `metamodel run|collect|featurize|train|evaluate|report|check|components|configs|zoo`.

Everything heavy is imported inside the commands, so that --help answers at once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metamodel.errors import MetamodelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metamodel.config import RunConfig
    from metamodel.pipeline import Stage

app = typer.Typer(
    help="Predict what a language model will do, from its input alone, and judge it in bits on domains it never saw.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
configs_app = typer.Typer(help="The configs that come with metamodel.", no_args_is_help=True)
zoo_app = typer.Typer(help="The bundled primary models.", no_args_is_help=True)
app.add_typer(configs_app, name="configs")
app.add_typer(zoo_app, name="zoo")

ConfigPath = Annotated[str, typer.Argument(help="A YAML file, or the name of a bundled config.", metavar="CONFIG")]
Overrides = Annotated[
    list[str], typer.Option("--set", help="key.path=value, over what the file says; may be repeated.", metavar="K=V")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run directory that another config made.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]
Full = Annotated[bool, typer.Option("--full", help="Every metamodel in the table, not only the best ones.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


@app.command()
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

    loaded = _load(config, overrides)
    if dry_run:
        _print_plan(loaded, as_json=as_json)
        return
    _run_stages(loaded, STAGES, resume=resume, quiet=quiet, as_json=as_json, full=full)


@app.command()
def collect(
    config: ConfigPath,
    overrides: Overrides = [],  # noqa: B006 - typer reads the default and never changes it
    *,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Sample the primary models' outputs; draws only what is missing."""
    _run_stages(_load(config, overrides), ["collect"], resume=resume, quiet=quiet)


@app.command()
def featurize(
    config: ConfigPath,
    overrides: Overrides = [],  # noqa: B006 - typer reads the default and never changes it
    *,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Compute behavior labels over the stored generations."""
    _run_stages(_load(config, overrides), ["featurize"], resume=resume, quiet=quiet)


@app.command()
def train(
    config: ConfigPath,
    overrides: Overrides = [],  # noqa: B006 - typer reads the default and never changes it
    *,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Fit every metamodel on every fold."""
    _run_stages(_load(config, overrides), ["train"], resume=resume, quiet=quiet)


@app.command()
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
    _run_stages(_load(config, overrides), ["evaluate"], resume=resume, quiet=quiet, as_json=as_json, full=full)


@app.command()
def report(
    config: ConfigPath,
    overrides: Overrides = [],  # noqa: B006 - typer reads the default and never changes it
    *,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Write report.html and plots/ from what evaluate stored."""
    _run_stages(_load(config, overrides), ["report"], resume=resume, quiet=quiet)


@app.command()
def check(
    config: ConfigPath,
    overrides: Overrides = [],  # noqa: B006 - typer reads the default and never changes it
    *,
    as_json: AsJson = False,
) -> None:
    """Check a config and print what it would do; reads prompt files, draws and writes nothing."""
    _print_plan(_load(config, overrides), as_json=as_json)


@app.command()
def components(
    group: Annotated[str | None, typer.Option(help="prompts, primaries, featurizers or trainers; all without.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List what is registered: fields with defaults, and label spaces."""
    from metamodel.catalog import catalog, catalog_tables
    from metamodel.console import stdout_console

    entries = catalog(group)
    if as_json:
        typer.echo(json.dumps([entry.to_dict() for entry in entries], indent=2))
        return
    for table in catalog_tables(entries):
        stdout_console().print(table)


@configs_app.command("ls")
def configs_ls() -> None:
    """List the bundled configs with their purpose."""
    from metamodel.bundled_configs import bundled_configs

    for name, purpose in bundled_configs().items():
        typer.echo(f"{name:<16} {purpose}")


@configs_app.command("cp")
def configs_cp(
    name: Annotated[str, typer.Argument(help="Name as `configs ls` shows it.")],
    target: Annotated[Path, typer.Argument(help="New file, or a folder.")] = Path(),
) -> None:
    """Copy a bundled config, to be changed."""
    from metamodel.bundled_configs import copy_config

    typer.echo(copy_config(name, target))


@zoo_app.command("ls")
def zoo_ls(*, as_json: AsJson = False) -> None:
    """List the bundled primary models."""
    from metamodel.zoo.catalog import describe

    entries = describe()
    if as_json:
        typer.echo(json.dumps(entries, indent=2))
        return
    for entry in entries:
        typer.echo("  ".join(f"{key} {value}" for key, value in entry.items()))


@zoo_app.command("train")
def zoo_train(
    name: Annotated[str, typer.Argument(help="Name as `zoo ls` shows it.")],
    directory: Annotated[
        Path | None, typer.Option(help="Where checkpoint, log and model go; runs/zoo/NAME without.")
    ] = None,
    n_tokens: Annotated[int | None, typer.Option(help="Tokens to read; as many as the bundled model without.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights and data.")] = 0,
    *,
    quiet: Quiet = False,
) -> None:
    """Train a bundled primary model from scratch; goes on from its last checkpoint."""
    from metamodel.zoo.catalog import check_name
    from metamodel.zoo.training import train_zoo_model

    check_name(name)

    def show(record: dict[str, object]) -> None:
        typer.echo("  ".join(f"{key} {value}" for key, value in record.items()), err=True)

    target = directory or Path("runs/zoo") / name
    typer.echo(train_zoo_model(name, target, n_tokens=n_tokens, seed=seed, report=None if quiet else show))


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit code 2."""
    try:
        app()
    except MetamodelError as error:
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("interrupted: run the same command again to go on", err=True)
        sys.exit(130)


def _load(path: str, overrides: Sequence[str]) -> RunConfig:
    from metamodel.bundled_configs import find_config
    from metamodel.config import load_config

    return load_config(find_config(path), overrides)


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


def _print_plan(config: RunConfig, *, as_json: bool) -> None:
    from metamodel.console import stdout_console
    from metamodel.plan import make_plan

    plan = make_plan(config)
    if as_json:
        typer.echo(json.dumps(plan.to_dict(), indent=2))
    else:
        stdout_console().print(plan.table())
