"""The command about what nobody has named: slices of prompts in which metamodels are wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, cast

import typer

from metamodel.cli.options import AsJson, Quiet, RunPath
from metamodel.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from metamodel.discovery.conditions import SliceKind
    from metamodel.discovery.found import Discoveries, Discovery, Figure
    from metamodel.metric_rows import Split

_MOST_WITH_EXAMPLES = 12
_MOST_DOMAINS = 6

_Behaviors = Annotated[
    list[str], typer.Option("--behavior", help="Only this behavior; may be repeated.", metavar="NAME")
]
_Metamodel = Annotated[
    str,
    typer.Option(
        help="Whose mistakes: a name; best: of each behavior and split the trained one with most bits; all: every "
        "trained one must be wrong in the same direction."
    ),
]
_Splits = Annotated[
    list[str],
    typer.Option("--split", help="Only held_out_domain, or in_distribution; both without.", metavar="KIND"),
]
_Slices = Annotated[
    str, typer.Option(help="What slices look at, joined by commas: ngrams, surface, clusters.", metavar="KINDS")
]


def discover(  # noqa: PLR0913 - one argument an option
    run: RunPath,
    *,
    behavior: _Behaviors = [],  # noqa: B006 - typer reads the default and never changes it
    metamodel: _Metamodel = "best",
    split: _Splits = [],  # noqa: B006 - the same
    slices: _Slices = "ngrams,surface,clusters",
    seed: Annotated[int, typer.Option(help="Fixes the two halves and the clusters.")] = 0,
    alpha: Annotated[
        float, typer.Option(help="Chance of reporting anything where there is nothing (Holm over all tests).")
    ] = 0.01,
    support: Annotated[int, typer.Option(help="Fewest prompts inside a slice, in each half.")] = 20,
    candidates: Annotated[
        int, typer.Option(help="Tests on the half kept aside for each behavior, primary model and split.")
    ] = 8,
    show_all: Annotated[bool, typer.Option("--all", help="Also list candidates that were not verified.")] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Search for slices of prompts in which metamodels are wrong in the same way: behaviors that nobody has named.

    Half of the prompts are searched (phrases, surface features, clusters, two at once); what stands out there is tested
    once on the other half. Writes RUN/discoveries.json and plots/discoveries.{svg,csv}.

    Example: metamodel discover runs/quickstart --behavior correct --metamodel all
    """
    from metamodel.console import stage_progress, stdout_console
    from metamodel.discovery.core import SearchPlan
    from metamodel.discovery.files import write_discoveries
    from metamodel.discovery.stage import DiscoverQuery
    from metamodel.discovery.stage import discover as search
    from metamodel.store.run_directory import RunDirectory

    plan = SearchPlan(kinds=_kinds(slices), seed=seed, least=support, most=candidates, alpha=alpha)
    query = DiscoverQuery(
        behaviors=behavior, metamodel=metamodel, splits=cast("list[Split]", split), plan=plan
    )  # the stage refuses a split that the run does not have
    directory = RunDirectory.open(run)
    with stage_progress("discover", quiet=quiet or as_json) as on_progress:
        found = search(directory, query, on_progress=on_progress)
    paths = write_discoveries(directory, found)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2, allow_nan=False))
        return
    _print(found, stdout_console(), show_all=show_all)
    for path in paths:
        typer.echo(f"{directory.path}/{path}")


def _kinds(text: str) -> tuple[SliceKind, ...]:
    from metamodel.discovery.conditions import SLICE_KINDS

    named = [part.strip() for part in text.split(",") if part.strip()]
    wrong = [name for name in named if name not in SLICE_KINDS]
    if wrong:
        problem = f"--slices is {text!r}: {', '.join(wrong)} is unknown, allowed are {', '.join(SLICE_KINDS)}"
        raise ConfigError([problem], source="discover")
    return tuple(kind for kind in SLICE_KINDS if kind in named)


def _print(found: Discoveries, console: Console, *, show_all: bool) -> None:
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    verified = found.verified
    if verified:
        console.print(
            _table(
                found, verified, title=f"{len(verified)} slice{'s' * (len(verified) > 1)} in which metamodels are wrong"
            )
        )
        for number, one in enumerate(verified[:_MOST_WITH_EXAMPLES], start=1):
            console.print(_examples(number, one))
    else:
        typer.echo(
            f"No slice was verified: {found.n_tests} candidates from {found.n_conditions:,} conditions were tested on "
            f"{found.n_prompts - found.n_searched:,} prompts."
        )
    rest = [one for one in found.candidates if not one.is_verified]
    if show_all and rest:
        console.print(_table(found, rest, title=f"{len(rest)} candidates that were not verified"))
    off = [one for one in found.domains if one.is_off]
    if off:
        console.print(_domain_table(found))


def _table(found: Discoveries, rows: list[Discovery], *, title: str) -> Table:
    from rich import box
    from rich.table import Table

    from metamodel.report.numbers import SHORT_SPLIT_NAMES, percent
    from metamodel.report.visible_text import plain

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=title,
        title_justify="left",
        caption=(
            f"Found on {found.n_searched:,} of {found.n_prompts:,} prompts among {found.n_conditions:,} conditions and "
            "pairs of them; all figures are of the other half, inside the slice less outside, within domains, with "
            "95 % interval. bits: surprise beyond what the metamodel expects. rate: of the outcome, observed less "
            f"predicted (position: of ordered outcomes). p: Holm over {found.n_tests} tests. labels: what happens "
            "differs there; predictions: only what was predicted does; agree: trained metamodels off the same way."
        ),
        caption_justify="left",
    )
    table.add_column("", justify="right")
    for heading in ("behavior", "slice"):
        table.add_column(heading, overflow="fold")
    for heading in ("n", "bits", "rate", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("differ", overflow="fold")
    for number, one in enumerate(rows, start=1):
        where = f"{plain(one.primary, limit=24)}, {SHORT_SPLIT_NAMES[one.split]}"
        note = f"\n{percent(one.largest_domain_share)} of it {plain(one.largest_domain, limit=24)}"
        outcome = "position" if not one.outcome else plain(one.outcome, limit=12)
        table.add_row(
            str(number),
            f"{plain(one.behavior, limit=24)}\n{where}",
            f"{plain(one.slice, limit=160)}{note}",
            f"{one.n_inside:,}",
            _estimate(one.bits),
            f"{outcome} {_estimate(one.rate)}",
            f"{one.p_adjusted:.1g}",
            f"{one.about}{' (a domain)' if one.is_domain else ''}\n{one.n_agreeing}/{len(one.agreement)} agree",
        )
    return table


def _estimate(figure: Figure) -> str:
    from metamodel.report.numbers import signed

    low, value, high = (signed(number, digits=2) for number in (figure.low, figure.value, figure.high))
    return f"{value}\n[{low}, {high}]"


def _examples(number: int, one: Discovery) -> Table:
    from rich.table import Table

    from metamodel.report.numbers import percent
    from metamodel.report.visible_text import plain

    table = Table.grid(padding=(0, 1, 0, 0), expand=True)
    table.title = (
        f"{number}. {plain(one.slice, limit=100)}: {plain(one.outcome) or 'position'} observed "
        f"{one.observed_inside:.2f}, predicted {one.predicted_inside:.2f}; elsewhere in these domains "
        f"{one.observed_outside:.2f} and {one.predicted_outside:.2f}"
    )
    table.title_justify = "left"
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for example in one.examples:
        output = "" if example.output is None else f" → {plain(example.output, limit=90)}"
        table.add_row(
            "  " + ("!" if example.why == "surprising" else "·"),
            f"{plain(example.label, limit=16)} ({percent(example.prediction)})",
            f"{plain(example.prompt, limit=150)}{output}",
        )
    return table


def _domain_table(found: Discoveries) -> Table:
    from rich import box
    from rich.table import Table

    from metamodel.report.numbers import SHORT_SPLIT_NAMES, signed
    from metamodel.report.visible_text import plain

    off = [one for one in found.domains if one.is_off]
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=f"{len(off)} domains on which a metamodel is off as a whole (the worst {min(len(off), _MOST_DOMAINS)})",
        title_justify="left",
        caption="Mean surprise beyond what the metamodel expects, bits a prompt; above, domains are taken out.",
        caption_justify="left",
    )
    for heading in ("domain", "behavior", "metamodel"):
        table.add_column(heading, overflow="fold")
    for heading in ("n", "bits", "95 %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in off[:_MOST_DOMAINS]:
        table.add_row(
            plain(one.domain, limit=30),
            f"{plain(one.behavior, limit=24)}, {plain(one.primary, limit=24)}, {SHORT_SPLIT_NAMES[one.split]}",
            plain(one.metamodel, limit=24),
            f"{one.n_prompts:,}",
            signed(one.bits.value, digits=2),
            f"[{signed(one.bits.low, digits=2)}, {signed(one.bits.high, digits=2)}]",
        )
    return table
