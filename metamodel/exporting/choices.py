"""What an export is asked for: which fit of a run, and which rules.

A name in the config means the fit on the in_distribution fold; rules are those of `metamodel threshold`, or stated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metamodel.dataset import ALL_PRIMARIES
from metamodel.errors import ConfigError, UnknownNameError, nearest_name_hint
from metamodel.labels import LabelSpace
from metamodel.screen.rules import ScreenRule
from metamodel.train import Fit, fits_named


def find_fit(fits: Sequence[Fit], metamodel: str, *, primary: str = "") -> Fit:
    """Return the fit that a name means.

    Args:
        fits: All of the run.
        metamodel: Name of a fit's folder, or a metamodel's in the config: its fit on the in_distribution fold.
        primary: Whose fit, where there are several.

    Raises:
        UnknownNameError: Nothing has the name.
        ConfigError: It means the fits of several primary models.
        RunError: The run has no in_distribution fold.
    """
    plain = fits_named(fits, metamodel)
    primaries = [fit.dataset.primary for fit in plain]
    if primary and primaries != [ALL_PRIMARIES]:
        if primary not in primaries:
            raise UnknownNameError(f"no primary model is named {primary!r}: {nearest_name_hint(primary, primaries)}")
        return plain[primaries.index(primary)]
    if len(plain) > 1:
        problem = f"primary is missing: {metamodel} was fitted on each of {', '.join(primaries)} (--primary NAME)"
        raise ConfigError([problem], source="export")
    return plain[0]


def parse_rule(text: str, spaces: Mapping[str, LabelSpace]) -> ScreenRule:
    """Return the rule that `BEHAVIOR=OUTCOME[,OUTCOME]:NUMBER` says.

    >>> from metamodel.labels import Binary
    >>> parse_rule("correct=no:0.3", {"correct": Binary()}).failures
    ('no',)

    Raises:
        ConfigError: It is not written so, or the number is no threshold.
        UnknownNameError: Nothing predicted has the name.
    """
    wanted, _, number = text.rpartition(":")
    behavior = max((name for name in spaces if wanted.startswith(f"{name}=")), key=len, default="")
    if not behavior:
        name = wanted.partition("=")[0]
        if not name or "=" not in wanted:
            raise ConfigError([f"threshold is {text!r}, must be like correct=no:0.3"], source="export")
        raise UnknownNameError(f"threshold {text!r}: no behavior {name!r}: {nearest_name_hint(name, spaces)}")
    outcomes, told = spaces[behavior].outcomes, wanted[len(behavior) + 1 :]
    failures = (told,) if told in outcomes else tuple(told.split(","))
    for outcome in failures:
        if outcome not in outcomes:
            raise UnknownNameError(
                f"threshold {text!r}: no outcome {outcome!r}: {nearest_name_hint(outcome, outcomes)}"
            )
    try:
        threshold = float(number)
        rule = ScreenRule(behavior=behavior, failures=failures, threshold=threshold)
    except ValueError as error:
        raise ConfigError(
            [f"threshold is {text!r}: {error}; must end in a number from 0 to 1"], source="export"
        ) from error
    if not 0 <= threshold <= 1:
        raise ConfigError([f"threshold is {text!r}, must end in a number from 0 to 1"], source="export")
    return rule
