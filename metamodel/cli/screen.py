"""The command that screens a file of prompts."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import typer

STANDARD_INPUT = Path("-")
# What a shell says of a program whose reader went away: 128 and the number of SIGPIPE.
_BROKEN_PIPE = 141
_SHOWN_ERROR_CHARACTERS = 300


def screen(
    folder: Annotated[Path, typer.Argument(help="What `metamodel export` wrote: a folder or a zip archive of one.")],
    prompts: Annotated[
        Path,
        typer.Argument(
            help="JSONL, or - for standard input: each line a text or a mapping with `prompt`.", metavar="PROMPTS"
        ),
    ],
    *,
    behavior: Annotated[
        list[str] | None, typer.Option(help="Behavior that decides; may be repeated. All where none is named.")
    ] = None,
    only_decisions: Annotated[
        bool, typer.Option("--only-decisions", help="Write no probabilities: the decision and the line's own fields.")
    ] = False,
    batch_size: Annotated[
        int, typer.Option(min=1, max=100_000, help="Most prompts read before their decisions are written.")
    ] = 256,
    max_characters: Annotated[int, typer.Option(min=1, help="A longer prompt is reported as a bad line.")] = 1_000_000,
    summary: Annotated[bool, typer.Option("--summary", help="Say on stderr at the end what came of it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON on stderr.")] = False,
) -> None:
    """Decide about prompts, line by line: one line of JSON on stdout a line read, in the same order.

    A mapping's other fields (id, say) are passed through. A bad line (no JSON, no prompt, too long, not UTF-8) is
    reported on stderr with its number and written as a row with `line` and `error`; the rest is done, and the exit
    code is then 1. Memory does not grow with the file.
    """
    from metamodel.screen.folder import load_screen
    from metamodel.screen.stream import StreamSummary, read_lines, screen_lines

    loaded = load_screen(folder)
    for name in behavior or ():
        loaded.require_behavior(name)
    found = StreamSummary()
    with _opened(prompts) as file, _quiet_about_broken_pipes():
        rows = screen_lines(
            loaded,
            read_lines(file, most_characters=max_characters),
            summary=found,
            behaviors=behavior or None,
            batch_size=batch_size,
            only_decisions=only_decisions,
        )
        _write(rows, flush_every=batch_size)
    if as_json:
        typer.echo(json.dumps(found.to_dict()), err=True)
    elif summary:
        typer.echo(
            f"{found.n_lines} lines: {found.n_passed} pass, {found.n_stopped} stop, {found.n_bad} bad; "
            f"{found.n_unfamiliar} unlike the training prompts",
            err=True,
        )
    if found.n_bad:
        raise typer.Exit(1)


def _write(rows: Iterator[dict[str, object]], *, flush_every: int) -> None:
    from metamodel.screen.stream import ERROR_FIELD, LINE_FIELD, row_text

    for position, row in enumerate(rows, start=1):
        if ERROR_FIELD in row:
            told = str(row[ERROR_FIELD])[:_SHOWN_ERROR_CHARACTERS]
            typer.echo(f"line {row[LINE_FIELD]}: {told.encode('ascii', 'backslashreplace').decode()}", err=True)
        sys.stdout.write(row_text(row))
        if position % flush_every == 0:
            sys.stdout.flush()
    sys.stdout.flush()


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    from metamodel.errors import DataError

    if path == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    with file:
        yield file


@contextmanager
def _quiet_about_broken_pipes() -> Iterator[None]:
    """End without a word where the reader of the decisions, `head` say, has gone."""
    try:
        yield
    except BrokenPipeError:
        # The interpreter flushes stdout once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(_BROKEN_PIPE) from None
