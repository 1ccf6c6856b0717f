"""Numbers as they are printed, and why one is not there."""

from __future__ import annotations

from typing import Final

from metamodel.metric_rows import MetricsRow, Split

DASH: Final = "\N{EN DASH}"
MINUS: Final = "\N{MINUS SIGN}"
SPLIT_NAMES: Final[dict[Split, str]] = {"held_out_domain": "held-out domains", "in_distribution": "in distribution"}
SHORT_SPLIT_NAMES: Final[dict[Split, str]] = {"held_out_domain": "held out", "in_distribution": "in distr."}
_RANKING_KEYS: Final = ("auroc", "auprc")
_INTERVAL_KEYS: Final = ("reduction_low_bits", "reduction_high_bits")


def signed(value: float | None, *, digits: int = 3) -> str:
    """Return a number with a true minus sign, or a dash.

    >>> signed(-0.12345) == MINUS + "0.123", signed(-0.0001), signed(None) == DASH
    (True, '0.000', True)
    """
    if value is None:
        return DASH
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def percent(value: float | None) -> str:
    """Return a share as a whole percentage, or a dash.

    >>> percent(0.413)
    '41 %'
    """
    return DASH if value is None else f"{signed(100 * value, digits=0)} %"


def interval(row: MetricsRow | None) -> str:
    """Return the interval of the bits gained in brackets, or a dash."""
    if row is None or row.reduction_low_bits is None or row.reduction_high_bits is None:
        return DASH
    return f"[{signed(row.reduction_low_bits)}, {signed(row.reduction_high_bits)}]"


def reason_missing(row: MetricsRow | None, key: str) -> str:
    """Return why a number of a row is None, as far as the row itself tells."""
    if row is None:
        return "no metamodel of this kind has a figure here"
    if row.n_prompts == 0 or row.n_samples == 0:
        return "no labeled prompt here"
    if row.base_rate in (0.0, 1.0) or row.entropy_bits == 0.0:
        return "only one outcome occurs here"
    return _reason_by_key(row, key)


def _reason_by_key(row: MetricsRow, key: str) -> str:
    if key in _RANKING_KEYS and row.base_rate is None:
        return "not a binary label, so there is nothing to rank"
    if key == "explained" and row.ceiling_bits is None:
        return "the ceiling is unknown: it takes two samples a prompt, or greedy decoding"
    if key == "explained" and row.ceiling_bits is not None and row.ceiling_bits <= 0:
        return "the ceiling is zero: no function of the prompt can gain a bit"
    if key in _INTERVAL_KEYS:
        return "too few prompts for an interval"
    return "undefined here; see the notes"
