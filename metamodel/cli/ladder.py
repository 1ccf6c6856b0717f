"""The commands about description length: shorter variants of a metamodel, and the ladder of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metamodel.cli.options import AsJson, Quiet, RunPath

if TYPE_CHECKING:
    from rich.table import Table

    from metamodel.ladder.stage import Ladder

_BITS_A_BYTE = 8


def compress(
    metamodel: Annotated[Path, typer.Argument(help="Folder of a saved metamodel.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the variant; must not exist, or be empty.", metavar="FOLDER")],
    int8: Annotated[bool, typer.Option("--int8", help="Round weights to 8-bit whole numbers with scales.")] = False,
    prune: Annotated[float, typer.Option(help="Share of the weights to set to zero, the smallest ones.")] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Write a variant of a metamodel with fewer bits of description; it is opened and used like any other."""
    from metamodel.ladder.compress import compress as compress_folder

    report = compress_folder(metamodel, out, int8=int8, prune_share=prune)
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2))
        return
    for what, before, after in (
        ("description", report.description_bits_before, report.description_bits_after),
        ("files", report.file_bytes_before * _BITS_A_BYTE, report.file_bytes_after * _BITS_A_BYTE),
    ):
        typer.echo(f"{what}: {before:,.0f} bits before, {after:,.0f} after ({after / before:.1%})")
    if report.borrowed_bits:
        typer.echo(f"borrowed, before and after: {report.borrowed_bits:,.0f} bits")
    typer.echo(str(out))


def ladder(
    run: RunPath,
    *,
    behavior: Annotated[str | None, typer.Option(help="Judge this behavior alone.")] = None,
    primary: Annotated[str | None, typer.Option(help="Judge this primary model alone.")] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Weigh bits gained on held-out domains against bits of description, for all metamodels and shorter variants."""
    from metamodel.console import stage_progress, stdout_console
    from metamodel.ladder.files import write_ladder
    from metamodel.ladder.stage import ladder as climb
    from metamodel.store.run_directory import RunDirectory

    directory = RunDirectory.open(run)
    with stage_progress("ladder", quiet=quiet or as_json) as on_progress:
        found = climb(directory, behavior=behavior, primary=primary, on_progress=on_progress)
    path = write_ladder(directory, found, behavior=behavior, primary=primary)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
        return
    stdout_console().print(_table(found))
    typer.echo(_knee_text(found))
    typer.echo(f"{directory.path}/{path}")


def _table(found: Ladder) -> Table:
    from rich import box
    from rich.table import Table

    from metamodel.report.numbers import DASH, signed
    from metamodel.report.visible_text import plain

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=f"Bits gained on {len(found.domains)} held-out domains against bits of description",
        title_justify="left",
        caption=(
            f"Mean over domains, primary models ({plain(', '.join(found.primaries))}) and behaviors "
            f"({plain(', '.join(found.behaviors))}); in brackets: 95 % interval. Break-even: after so many "
            "prompts, put to every primary model, the bits gained have paid for the description."
        ),
        caption_justify="left",
    )
    for heading in ("metamodel", "variant"):
        table.add_column(heading, overflow="fold")
    for heading in ("bits", "borrowed", "gained", "", "break-even"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for point in found.points:
        interval = DASH
        if point.low_bits is not None and point.high_bits is not None:
            interval = f"[{signed(point.low_bits)}, {signed(point.high_bits)}]"
        table.add_row(
            plain(point.metamodel),
            point.variant,
            f"{point.description_bits:,.0f}",
            f"{point.borrowed_bits:,.0f}" if point.borrowed_bits else DASH,
            signed(point.reduction_bits),
            interval,
            DASH if point.break_even_prompts is None else f"{point.break_even_prompts:,.0f}",
            "knee" if point.is_knee else "front" if point.is_on_front else "",
            style="bold" if point.is_knee else "" if point.is_on_front else "dim",
        )
    return table


def _knee_text(found: Ladder) -> str:
    from metamodel.report.numbers import signed
    from metamodel.report.visible_text import plain

    if found.knee is None:
        return "no knee: the front has fewer than three points, does not bend, or no bit is gained where it does"
    point = found.knee
    return (
        f"knee: {plain(point.metamodel)}, {point.variant}: {signed(point.reduction_bits)} bits for "
        f"{point.description_bits:,.0f} of description (farthest above the chord of the front in log bits)"
    )
