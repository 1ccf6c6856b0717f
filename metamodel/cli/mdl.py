"""The command about description lengths: two-part and prequential, equation 6, the frontier."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from metamodel.cli.options import AsJson, Quiet, RunPath

if TYPE_CHECKING:
    from rich.table import Table

    from metamodel.description.stage import Mdl


def mdl(
    run: RunPath,
    *,
    alpha: Annotated[
        list[float], typer.Option(help="Weight of the data's bits in equation 6; may be repeated.", metavar="A")
    ] = [],  # noqa: B006 - typer reads the default and never changes it
    prompts: Annotated[int | None, typer.Option(help="Prompts n of equation 6; all of the run without.")] = None,
    fold: Annotated[
        str | None, typer.Option(help="Fold whose metamodels are described: in_distribution, without_DOMAIN.")
    ] = None,
    order: Annotated[
        Literal["shuffled", "domains"], typer.Option(help="Order of the prompts: shuffled, or domain by domain.")
    ] = "shuffled",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be fitted, fit nothing.")] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Measure how long each metamodel's description is, two-part and prequential, and after how many prompts it pays.

    The online code fits every metamodel on growing prefixes of its training prompts; finished blocks are kept.
    """
    from metamodel.config import build_config
    from metamodel.console import stage_progress, stderr_console, stdout_console
    from metamodel.description.charts import write_mdl
    from metamodel.description.stage import DEFAULT_ALPHAS, describe, mdl_work
    from metamodel.store.run_directory import RunDirectory

    directory = RunDirectory.open(run)
    work = mdl_work(directory, build_config(directory.config, source=f"{run}/run.json"), fold=fold, order=order)
    if dry_run:
        typer.echo(json.dumps(work.to_dict(), indent=2))
        return
    if not (quiet or as_json):
        n_prompts = sum(plan.n_fitted_prompts for plan in work.plans)
        stderr_console().print(
            f"{work.n_fits} fits on prefixes, {n_prompts:,} prompts in all (fold {work.fold}); finished ones are kept",
            markup=False,
        )
    with stage_progress("mdl", quiet=quiet or as_json) as on_progress:
        found = describe(
            directory,
            alphas=alpha or DEFAULT_ALPHAS,
            fold=fold,
            order=order,
            n_prompts=prompts,
            on_progress=on_progress,
        )
    path = write_mdl(directory, found)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
        return
    stdout_console().print(_description_table(found))
    stdout_console().print(_objective_table(found))
    typer.echo(f"{directory.path}/{path}")


def _description_table(found: Mdl) -> Table:
    from rich import box
    from rich.table import Table

    from metamodel.report.numbers import DASH, signed
    from metamodel.report.visible_text import plain

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=f"Bits of description and bits explained (fold {plain(found.fold)}, {found.n_judged:,} test prompts)",
        title_justify="left",
        caption=(
            "Summed over primary models and behaviors; explained: bits a test prompt, with 95 % interval. prequential: "
            f"the online code ({found.order}) less the bits of the same labels under the saved metamodel. Break-even: "
            "after so many prompts, put to every primary model, the description is paid for."
        ),
        caption_justify="left",
    )
    table.add_column("metamodel", overflow="fold")
    table.add_column("measure")
    for heading in ("bits", "borrowed", "explained", "", "break-even"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for one in found.described:
        interval = DASH
        if one.low_bits is not None and one.high_bits is not None:
            interval = f"[{signed(one.low_bits)}, {signed(one.high_bits)}]"
        table.add_row(
            plain(one.metamodel),
            one.measure,
            f"{one.description_bits:,.0f}",
            f"{one.borrowed_bits:,.0f}" if one.borrowed_bits else DASH,
            signed(one.reduction_bits),
            interval,
            DASH if one.break_even_prompts is None else f"{one.break_even_prompts:,.0f}",
            "knee" if one.is_knee else "front" if one.is_on_front else "",
            style="" if one.is_on_front else "dim",
        )
    return table


def _objective_table(found: Mdl) -> Table:
    from rich import box
    from rich.table import Table

    from metamodel.report.visible_text import plain

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=f"Equation 6: |C(B)| + alpha n CE in bits, n = {found.n_prompts:,} prompts",
        title_justify="left",
        caption="The shortest of each column is marked *; the uniform code describes nothing.",
        caption_justify="left",
    )
    table.add_column("metamodel", overflow="fold")
    table.add_column("|C(B)|", no_wrap=True)
    alphas = list(dict.fromkeys(row.alpha for row in found.objectives))
    for alpha in alphas:
        table.add_column(f"{alpha:g}", justify="right", no_wrap=True)
    for measure in dict.fromkeys(row.measure for row in found.objectives):
        for name in dict.fromkeys(row.metamodel for row in found.objectives):
            mine = [row for row in found.objectives if (row.metamodel, row.measure) == (name, measure)]
            cells = [f"{row.objective_bits:.4g}{'*' if row.is_best else ' '}" for row in mine]
            table.add_row(plain(name), measure, *cells)
    return table
