"""The command that chooses a pre-screen's threshold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from metamodel.cli.options import AsJson, RunPath

if TYPE_CHECKING:
    from metamodel.thresholds.choice import Choice
    from metamodel.thresholds.costs import Prices

_DEFAULT_RISK = 0.05
_NOTHING_HOLDS = 1

_Metamodel = Annotated[
    str,
    typer.Argument(
        help="A metamodel's name in the config, or the name of a folder below RUN/metamodels.", metavar="METAMODEL"
    ),
]
_Failure = Annotated[
    list[str] | None, typer.Option(help="Outcome that counts as failure; may be repeated. Binary: yes.")
]
_Risk = Annotated[
    float | None, typer.Option(help="Largest failure rate let through; 0.05 where failures have no price.")
]
_Method = Annotated[
    Literal["auto", "binomial", "betting", "bentkus", "crc"],
    typer.Option(
        help="auto: learn then test, with the exact binomial tail for one label a prompt and betting for more. "
        "crc: conformal risk control, of the share of all prompts that is let through and fails, in expectation."
    ),
]
_Fallback = Annotated[
    str, typer.Option(help="Another primary model of the run that answers what is stopped.", metavar="NAME")
]
_PriceFailure = Annotated[
    float | None, typer.Option(help="Price of a failure: the cheapest threshold is chosen, within the risk if any.")
]


def threshold(  # noqa: PLR0913 - a command's arguments are its options
    run: RunPath,
    metamodel: _Metamodel,
    *,
    behavior: Annotated[str, typer.Option(help="What is screened for.", metavar="BEHAVIOR")],
    failure: _Failure = None,
    risk: _Risk = None,
    confidence: Annotated[float, typer.Option(help="Probability that the failure rate stays below it.")] = 0.95,
    min_coverage: Annotated[float, typer.Option(help="Smallest share of prompts worth letting through.")] = 0.1,
    primary: Annotated[str, typer.Option(help="Which primary model, where there are several.", metavar="NAME")] = "",
    method: _Method = "auto",
    fallback: _Fallback = "",
    price_primary: Annotated[float | None, typer.Option(help="Price of a call of the primary model.")] = None,
    price_fallback: Annotated[float, typer.Option(help="Price of what is done with a stopped prompt.")] = 0.0,
    price_failure: _PriceFailure = None,
    seconds_primary: Annotated[float | None, typer.Option(help="Seconds that the primary model takes.")] = None,
    seconds_fallback: Annotated[float, typer.Option(help="Seconds that a stopped prompt takes.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Choose how likely a failure may be for a prompt to be let through, so that few enough of those fail.

    Writes RUN/thresholds/FIT.json, which `metamodel export` takes along and `metamodel report` shows; the rule of the
    same behavior is replaced. Exit code 1: no threshold holds the risk, and no rule was written.
    """
    from metamodel.errors import ConfigError
    from metamodel.store.run_directory import RunDirectory
    from metamodel.thresholds.choice import Request
    from metamodel.thresholds.files import write_choice
    from metamodel.thresholds.stage import choose_threshold

    try:
        request = Request(
            behavior=behavior,
            failures=tuple(failure or ()),
            primary=primary,
            risk=_DEFAULT_RISK if risk is None and price_failure is None else risk,
            confidence=confidence,
            min_coverage=min_coverage,
            method=method,
            prices=_prices("price", price_primary, price_fallback, price_failure),
            seconds=_prices("seconds", seconds_primary, seconds_fallback, None),
            fallback=fallback,
            seed=seed,
        )
    except ValueError as error:
        raise ConfigError([str(error)], source="threshold") from error
    directory = RunDirectory.open(run)
    choice = choose_threshold(directory, metamodel, request)
    _show(choice, f"{directory.path}/{write_choice(directory, choice)}", as_json=as_json)
    if choice.threshold is None:
        raise typer.Exit(_NOTHING_HOLDS)


def _show(choice: Choice, path: str, *, as_json: bool) -> None:
    if as_json:
        from metamodel.thresholds.files import choice_to_dict

        typer.echo(json.dumps({**choice_to_dict(choice), "file": path}, indent=2))
        return
    from metamodel.console import stdout_console
    from metamodel.thresholds.terminal import choice_lines, choice_tables

    for line in choice_lines(choice):
        typer.echo(line)
    for table in choice_tables(choice):
        stdout_console().print(table)
    typer.echo(path)


def _prices(what: str, primary: float | None, fallback: float, failure: float | None) -> Prices | None:
    from metamodel.thresholds.costs import Prices

    if primary is None:
        if fallback or failure is not None:
            raise ValueError(f"{what}-primary is missing: give it, be it 0, beside the others")
        return None
    return Prices(primary=primary, fallback=fallback, failure=failure)
