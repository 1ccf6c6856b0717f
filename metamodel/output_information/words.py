"""How rows are named and figures printed, in the terminal, the charts and the report alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from metamodel.output_information.results import ExplainedRow, Figure, PrimaryInformation, RankedBy
from metamodel.report.numbers import DASH, percent, signed
from metamodel.report.visible_text import plain

ALL_BEHAVIORS: Final = "all together"
RANKED_BY: Final[dict[RankedBy, str]] = {
    "share": "share of I(Y; X), above chance",
    "within_share": "share within domains, above chance",
}
CAPTION: Final = (
    "I(Y; B): bits that outputs tell about a function B of the prompt, among the sampled prompts; chance: the same for "
    "random partitions with equal bin sizes. Shares are above chance: of I(Y; X), and within domains of I(Y; X given "
    "the domain). dH: bits explained of the labels of the same prompts, by equation 3 a lower bound on the "
    "population's I(Y; B) of whole outputs, but where marked * (the label reads the prompt). In "
    "brackets: 95 % interval, bootstrap over prompts."
)


def reader_name(row: ExplainedRow) -> str:
    """Return whose function of the prompt a row is about."""
    if row.reader == "metamodel":
        return plain(row.metamodel or "", limit=40)
    return "the behavior itself" if row.reader == "behavior" else "the domain"


def behavior_name(row: ExplainedRow) -> str:
    """Return which behavior a row is about."""
    if row.behavior is None:
        return ALL_BEHAVIORS if row.reader == "metamodel" else DASH
    return plain(row.behavior, limit=40)


def bits_text(figure: Figure | None, *, digits: int = 2) -> str:
    """Return bits with their interval, or a dash."""
    return _with_interval(figure, lambda value: signed(value, digits=digits))


def share_text(figure: Figure | None) -> str:
    """Return a share with its interval in percent, or a dash."""
    return _with_interval(figure, lambda value: percent(value).removesuffix(" %"), unit=" %")


def reduction_text(row: ExplainedRow) -> str:
    """Return the bits explained of the labels, marked where they are no bound."""
    mark = "*" if row.reads_prompt and row.reduction_bits is not None else ""
    return signed(row.reduction_bits, digits=3) + mark


def shown_rows(found: PrimaryInformation) -> list[ExplainedRow]:
    """Return the rows that can explain anything: more than one value of B."""
    return [row for row in found.rows if row.n_bins > 1]


def constant_note(found: PrimaryInformation) -> str:
    """Name the rows that are left out since B is the same for every prompt; empty where there is none."""
    names = [f"{reader_name(row)}, {behavior_name(row)}" for row in found.rows if row.n_bins == 1]
    if not names:
        return ""
    shown, n_more = names[:4], len(names) - 4
    return "the same for every prompt, so 0 bits: " + "; ".join(shown) + (f"; and {n_more} more" if n_more > 0 else "")


def headline(found: PrimaryInformation) -> str:
    """Say in a sentence what whole outputs tell."""
    whole = found.lengths[-1]
    high = "no finite upper bound" if whole.high_bits is None else f"at most {bits_text(whole.high_bits)}"
    return (
        f"{found.n_prompts} prompts of {found.n_domains} domains, {found.n_outputs} outputs: I(Y; X) = "
        f"{bits_text(whole.bits)} bits among them (bound log2 n = {found.log_n_bits:.2f}); in the population at least "
        f"that in expectation, and {high}; H(Y given X) = {bits_text(whole.conditional_entropy_bits)} bits"
    )


def gap_text(found: PrimaryInformation) -> str:
    """Say how far stored and present log-probabilities of outputs differ."""
    if found.largest_gap_bits is None:
        return "no stored log-probabilities to compare with" if not found.is_greedy else "greedy: nothing was scored"
    return f"largest gap to the log-probabilities stored when drawn: {found.largest_gap_bits:.2g} bits"


def _with_interval(figure: Figure | None, shown: Callable[[float], str], *, unit: str = "") -> str:
    if figure is None:
        return DASH
    if figure.low is None or figure.high is None:
        return f"{shown(figure.value)}{unit}"
    return f"{shown(figure.value)}{unit} [{shown(figure.low)}, {shown(figure.high)}]"
