"""The command that meets a new primary model with what is known of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metamodel.cli.options import AsJson, Quiet

if TYPE_CHECKING:
    from rich.table import Table

    from metamodel.newformer.results import Newformer


New = Annotated[
    str,
    typer.Argument(
        help="A YAML file that describes one primary model (kind: transformers, ...), or a labeled run of it."
    ),
]
Known = Annotated[
    list[str], typer.Option(help="An evaluated run of known primary models; may be repeated.", metavar="RUN")
]
Sizes = Annotated[
    list[int], typer.Option(help="Labeled prompts of the learning curves; may be repeated.", metavar="N", min=2)
]


def newformer(  # noqa: PLR0913 - one argument an option
    new: New,
    known: Known,
    *,
    out: Annotated[Path | None, typer.Option(help="Folder for all files; newformer without.", metavar="FOLDER")] = None,
    behavior: Annotated[list[str], typer.Option(help="Only this behavior; may be repeated.", metavar="NAME")] = [],  # noqa: B006 - typer reads the default and never changes it
    metamodel: Annotated[
        str, typer.Option(help="Metamodel of the first known run that is trained from scratch.", metavar="NAME")
    ] = "",
    size: Sizes = [],  # noqa: B006 - the same
    draws: Annotated[int, typer.Option(help="Draws of the labeled prompts.", min=1)] = 3,
    domains: Annotated[int, typer.Option(help="Most left-out domains of the learning curves.", min=0)] = 4,
    floor: Annotated[
        float, typer.Option(help="Share of outputs above which an outcome counts as shown.", min=0.0001, max=0.5)
    ] = 0.02,
    seed: Annotated[int, typer.Option(help="Seed of draws and fits.")] = 0,
    no_learning: Annotated[bool, typer.Option("--no-learning", help="Train nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done; collect nothing.")] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Meet a new primary model with what is known of others: metamodel newformer new.yaml --known runs/zoo.

    Says which known behaviors it shares and where, how well existing metamodels predict it untrained, and how many
    labels close the gap. Of a YAML file's model, outputs are first collected and labeled as the known run's were.
    """
    from metamodel.console import stage_progress
    from metamodel.newformer.preparing import labeled_run, pattern_config
    from metamodel.newformer.stage import SIZES, Protocol, plan_newformer
    from metamodel.newformer.writing import newformer_into
    from metamodel.store.run_directory import RunDirectory

    folder, pattern = out or Path("newformer"), RunDirectory.open(known[0])
    protocol = Protocol(
        behaviors=behavior,
        metamodel=metamodel,
        sizes=sorted(set(size)) or SIZES,
        n_draws=draws,
        n_domains=domains,
        floor=floor,
        seed=seed,
        learns=not no_learning,
    )
    if dry_run and new.endswith((".yaml", ".yml")):
        typer.echo(json.dumps({"collects": pattern_config(new, pattern, folder)}, indent=2))
        return
    plan = plan_newformer(labeled_run(new, pattern, folder, quiet=quiet or as_json), known, protocol)
    if dry_run:
        typer.echo(json.dumps(plan.to_dict(), indent=2))
        return
    with stage_progress("newformer", quiet=quiet or as_json) as on_progress:
        found = newformer_into(plan, folder, on_progress=on_progress)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
        return
    _show(found)
    typer.echo(str(folder / "newformer.html"))


def _show(found: Newformer) -> None:
    from metamodel.console import stderr_console, stdout_console
    from metamodel.report.visible_text import plain

    for note in found.notes:
        stderr_console().print(plain(note, limit=400), markup=False)
    stdout_console().print(_sharing_table(found))
    stdout_console().print(_gap_table(found))


def _sharing_table(found: Newformer) -> Table:
    from collections import Counter

    from rich import box
    from rich.table import Table

    from metamodel.newformer.results import SHARINGS
    from metamodel.report.numbers import DASH
    from metamodel.report.visible_text import plain

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=f"Behaviors of {plain(found.primary)} in its domains",
        title_justify="left",
        caption=f"Number of domains; shown means in more than {found.floor:.0%} of the outputs (Holm over all places). "
        "Alike: the known primary model whose labels agree most, by kappa.",
        caption_justify="left",
    )
    table.add_column("behavior", overflow="fold")
    for name in SHARINGS:
        table.add_column(name, justify="right")
    table.add_column("alike", overflow="fold")
    counts = Counter((one.behavior, one.outcome, one.sharing) for one in found.contexts)
    for behavior, outcome in dict.fromkeys((one.behavior, one.outcome) for one in found.contexts):
        nearest = max(
            (one for one in found.likeness if one.behavior == behavior and one.kappa is not None),
            key=lambda one: one.kappa or 0.0,
            default=None,
        )
        table.add_row(
            plain(behavior if outcome == "yes" else f"{behavior}: {outcome}"),
            *(str(counts[behavior, outcome, name] or "") for name in SHARINGS),
            f"{plain(nearest.known)} {nearest.kappa:+.2f}" if nearest else DASH,
        )
    return table


def _gap_table(found: Newformer) -> Table:
    from rich import box
    from rich.table import Table

    from metamodel.newformer.gaps import CLOSED
    from metamodel.report.numbers import DASH, signed
    from metamodel.report.visible_text import plain

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title="Bits before any training, and how many labels close the gap",
        title_justify="left",
        caption=f"all labels: {plain(found.trainer)} trained on all there are. no label: the known metamodels' mean. "
        f"worth: labels with which training from scratch is as good. The rest: labels with {CLOSED:.0%} of all labels' "
        "bits. A dash: never, within the labels there are. Intervals are on the page.",
        caption_justify="left",
    )
    table.add_column("behavior", overflow="fold")
    table.add_column("split")
    for name in ("all labels", "no label", "worth", "recalibrated", "adapted", "from scratch"):
        table.add_column(name, justify="right", no_wrap=True)
    for gap in found.gaps:
        closing = [gap.closes_at.get(way) for way in ("recalibrated", "adapted", "from scratch")]
        table.add_row(
            plain(gap.behavior),
            gap.split.replace("_", " "),
            signed(gap.native_bits),
            DASH if gap.zero_shot_bits is None else signed(gap.zero_shot_bits),
            *(DASH if n is None else f"{n:,}" for n in (gap.worth_labels, *closing)),
        )
    return table
