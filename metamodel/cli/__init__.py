"""The command line: `metamodel --help`.

One file a group of commands. Everything heavy is imported inside the commands, so that --help answers at once.
"""

from __future__ import annotations

import sys

import typer

from metamodel.cli import listings, stages, zoo
from metamodel.cli.adapt import adapt
from metamodel.cli.behaviors import behaviors
from metamodel.cli.checkpoints import checkpoints
from metamodel.cli.compare import compare
from metamodel.cli.corpus import corpus
from metamodel.cli.discover import discover
from metamodel.cli.export import export
from metamodel.cli.feedback import feedback
from metamodel.cli.gateway import gateway
from metamodel.cli.imports import import_log
from metamodel.cli.information import information
from metamodel.cli.ladder import compress, ladder
from metamodel.cli.mdl import mdl
from metamodel.cli.monitor import monitor
from metamodel.cli.newformer import newformer
from metamodel.cli.perturb import perturb
from metamodel.cli.push import push
from metamodel.cli.scaling import scaling
from metamodel.cli.screen import screen
from metamodel.cli.serve import serve
from metamodel.cli.threshold import threshold
from metamodel.cli.transfer import transfer
from metamodel.cli.tune import tune
from metamodel.cli.verify import verify
from metamodel.errors import MetamodelError

app = typer.Typer(
    help="Predict what a language model will do, from its input alone, and judge it in bits on domains it never saw.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in (
    stages.run,
    stages.collect,
    stages.featurize,
    stages.train,
    stages.evaluate,
    stages.report,
    stages.check,
    tune,
    adapt,
    compress,
    ladder,
    mdl,
    discover,
    information,
    compare,
    newformer,
    perturb,
    corpus,
    scaling,
    checkpoints,
    threshold,
    transfer,
    verify,
    behaviors,
    export,
    push,
    screen,
    monitor,
    serve,
    gateway,
    feedback,
    listings.components,
):
    app.command()(command)

app.command("import")(import_log)

configs_app = typer.Typer(help="The configs that come with metamodel.", no_args_is_help=True)
configs_app.command("ls")(listings.configs_ls)
configs_app.command("cp")(listings.configs_cp)
app.add_typer(configs_app, name="configs")

zoo_app = typer.Typer(help="The bundled primary models.", no_args_is_help=True)
zoo_app.command("ls")(zoo.zoo_ls)
zoo_app.command("train")(zoo.zoo_train)
app.add_typer(zoo_app, name="zoo")


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
