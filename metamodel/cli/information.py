"""The command about whole outputs: what they tell about prompts, and which behaviors explain it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from metamodel.cli.options import AsJson, Quiet, RunPath
from metamodel.metric_rows import Split

if TYPE_CHECKING:
    from rich.table import Table

    from metamodel.output_information.results import OutputInformation, PrimaryInformation

_SHOWN_ROWS = 24
_Prompts = Annotated[int, typer.Option(help="Prompts n, as many of each domain; n x n pairs are scored.", metavar="N")]
_Outputs = Annotated[
    int, typer.Option(help="Outputs of each prompt to score; the other samples tell the behavior.", metavar="K")
]
_Tokens = Annotated[
    int | None,
    typer.Option(help="Rank by the first T tokens of outputs; else the most that are not saturated.", metavar="T"),
]


def information(  # noqa: PLR0913 - one argument an option
    run: RunPath,
    *,
    prompts: _Prompts = 256,
    outputs: _Outputs = 1,
    tokens: _Tokens = None,
    bins: Annotated[int, typer.Option(help="Most bins of a prediction.", metavar="B")] = 8,
    permutations: Annotated[
        int, typer.Option(help="Random partitions behind each figure of chance.", metavar="P")
    ] = 200,
    split: Annotated[
        Split | None, typer.Option(help="Whose predictions: held-out domains where there are any.")
    ] = None,
    primary: Annotated[list[str], typer.Option(help="Only this primary model; may be repeated.", metavar="NAME")] = [],  # noqa: B006 - typer reads the default and never changes it
    metamodel: Annotated[list[str], typer.Option(help="Only this metamodel; may be repeated.", metavar="NAME")] = [],  # noqa: B006 - the same
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print how many pairs would be scored and about how long it takes.")
    ] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Estimate how many bits outputs tell about their prompts, and rank behaviors by the share that they explain.

    Every output is scored under every prompt (equation 3 at the level of outputs). Finished pieces are kept.

    Example: metamodel information runs/quickstart --primary lstm --prompts 128
    """
    from metamodel.config import build_config
    from metamodel.console import stage_progress, stdout_console
    from metamodel.output_information.files import write_information
    from metamodel.output_information.stage import output_information
    from metamodel.output_information.work import InformationQuery, information_work
    from metamodel.store.run_directory import RunDirectory

    directory = RunDirectory.open(run)
    config = build_config(directory.config, source=f"{run}/run.json")
    query = InformationQuery(
        n_prompts=prompts,
        n_outputs=outputs,
        n_bins=bins,
        tokens=tokens,
        split=split,
        primaries=primary,
        metamodels=metamodel,
        n_permutations=permutations,
    )
    if dry_run:
        typer.echo(json.dumps(information_work(directory, config, query).to_dict(seed=config.seed), indent=2))
        return
    with stage_progress("information", quiet=quiet or as_json) as on_progress:
        found = output_information(directory, config, query, on_progress=on_progress)
    path = write_information(directory, found)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
        return
    for one in found.primaries:
        _print(one, found)
    for name, reason in found.skipped.items():
        typer.echo(f"{name} left out: {reason}", err=True)
    stdout_console().print(f"{directory.path}/{path}", markup=False, highlight=False, soft_wrap=True)


def _print(one: PrimaryInformation, found: OutputInformation) -> None:
    from metamodel.console import stdout_console
    from metamodel.output_information import words
    from metamodel.report.visible_text import plain

    console = stdout_console()
    console.print(_length_table(one))
    lines = [words.headline(one), words.gap_text(one), *one.notes]
    for line in lines:
        console.print(f"{plain(one.primary)}: {line}", markup=False, highlight=False)
    console.print(_explained_table(one, found))
    note = words.constant_note(one)
    if note:
        console.print(note, markup=False, highlight=False)
    console.print(_label_table(one))


def _length_table(one: PrimaryInformation) -> Table:
    from rich import box
    from rich.table import Table

    from metamodel.output_information.words import bits_text
    from metamodel.report.visible_text import plain

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=f"What outputs of {plain(one.primary)} tell about their prompts, in bits",
        title_justify="left",
    )
    for heading in ("tokens", "I(Y; X) of the sample", "of the population, at most", "H(Y given X)"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for length in one.lengths:
        marks = ["ranked"] * (length.tokens == one.ranked_tokens) + ["saturated"] * length.is_saturated
        table.add_row(
            f"{length.tokens}{' (whole)' * length.is_complete}",
            bits_text(length.bits),
            bits_text(length.high_bits),
            bits_text(length.conditional_entropy_bits),
            ", ".join(marks),
            style="" if length.tokens == one.ranked_tokens else "dim",
        )
    return table


def _explained_table(one: PrimaryInformation, found: OutputInformation) -> Table:
    from rich import box
    from rich.table import Table

    from metamodel.output_information import words
    from metamodel.report.visible_text import plain

    rows = words.shown_rows(one)
    more = f" The first {_SHOWN_ROWS} of {len(rows)} rows; all are in information.json." * (len(rows) > _SHOWN_ROWS)
    split = {"held_out_domain": "held-out domains", "in_distribution": "in distribution", None: "no predictions"}
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=(
            f"What explains them: the first {one.ranked_tokens} tokens, {split[found.split]}, ranked by "
            f"{words.RANKED_BY[found.ranked_by]}"
        ),
        title_justify="left",
        caption=words.CAPTION + more,
        caption_justify="left",
    )
    table.add_column(f"B(X) for {plain(one.primary, limit=20)}", overflow="fold")
    table.add_column("behavior", overflow="fold")
    for heading in ("bins", "I(Y; B)", "chance", "share", "within domains", "dH"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows[:_SHOWN_ROWS]:
        table.add_row(
            words.reader_name(row),
            words.behavior_name(row),
            str(row.n_bins),
            words.bits_text(row.bits),
            f"{row.chance_bits:.2f}",
            words.share_text(row.share),
            words.share_text(row.within_share),
            words.reduction_text(row),
            style="dim" if row.reader == "domain" else "",
        )
    return table


def _label_table(one: PrimaryInformation) -> Table:
    from rich import box
    from rich.table import Table

    from metamodel.output_information.words import bits_text, share_text
    from metamodel.report.visible_text import plain

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=f"What labels tell about whole outputs of {plain(one.primary)}: I(Y; F) = H(F)",
        title_justify="left",
        caption="* reads the prompt: no function of the output alone, so H(F) is only an upper bound on I(Y; F).",
        caption_justify="left",
    )
    table.add_column("behavior", overflow="fold")
    for heading in ("labels", "H(F), bits", "share of H(Y)"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in one.labels:
        name = plain(row.behavior, limit=40) + "*" * row.reads_prompt
        table.add_row(name, str(row.n_labeled), bits_text(row.entropy_bits, digits=3), share_text(row.share))
    return table
