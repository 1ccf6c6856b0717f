"""The thresholds of a fit in a run directory: RUN/thresholds/<fit name>.json.

`rules` is what `metamodel export` takes along; `choices` is what the report shows of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from metamodel.errors import DataError
from metamodel.screen.rules import ScreenRule, rules_from_json, rules_to_json
from metamodel.store.provenance import utc_now
from metamodel.thresholds.choice import Choice
from metamodel.thresholds.reading import read_dataclass

if TYPE_CHECKING:
    from metamodel.store.run_directory import RunDirectory

FOLDER: Final = "thresholds"
THRESHOLDS_SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, kw_only=True)
class FitThresholds:
    """What was chosen for one fit.

    Attributes:
        fit: Name of its folder below metamodels/.
        fingerprint: What the fit depended on when they were chosen, as run.json says; empty where it does not.
        choices: One a behavior, those without a threshold too.
    """

    fit: str
    fingerprint: str
    choices: tuple[Choice, ...]

    @property
    def rules(self) -> tuple[ScreenRule, ...]:
        """The rules of the choices that have a threshold."""
        return tuple(choice.rule for choice in self.choices if choice.rule is not None)


def thresholds_path(fit: str) -> str:
    """Return where the thresholds of a fit are, below the run directory."""
    return f"{FOLDER}/{fit}.json"


def choice_to_dict(choice: Choice) -> dict[str, object]:
    """Return a choice ready for JSON."""
    plain: dict[str, object] = json.loads(json.dumps(asdict(choice)))
    return plain


def read_thresholds(run: RunDirectory, fit: str) -> FitThresholds | None:
    """Return what was chosen for a fit, or None where nothing was.

    Raises:
        DataError: The file says something else.
    """
    content = _content(run, fit)
    if content is None:
        return None
    source, again = f"{run.path}/{thresholds_path(fit)}", "remove it and run `metamodel threshold` again"
    listed = content.get("choices")
    if not isinstance(listed, list):
        raise DataError(f"{source}: choices must be a list: {again}")
    choices = tuple(read_dataclass(Choice, item, where=f"{source}: choices") for item in listed)
    found = FitThresholds(fit=fit, fingerprint=str(content.get("fingerprint", "")), choices=choices)
    if rules_from_json(content.get("rules"), source=source) != found.rules:
        raise DataError(f"{source}: rules and choices differ: {again}")
    return found


def read_rules(run: RunDirectory, fit: str) -> tuple[ScreenRule, ...]:
    """Return the rules that were chosen for a fit; none where nothing was.

    Raises:
        DataError: The file says something else, or speaks of a metamodel that has been trained anew since.
    """
    content = _content(run, fit)
    if content is None:
        return ()
    source = f"{run.path}/{thresholds_path(fit)}"
    fingerprint = content.get("fingerprint")
    if fingerprint != fit_fingerprint(run, fit):
        raise DataError(f"{source}: {fit} has been trained anew since: run `metamodel threshold` again")
    return rules_from_json(content.get("rules"), source=source)


def read_all_thresholds(run: RunDirectory, fits: Sequence[str]) -> list[FitThresholds]:
    """Return what was chosen for each of these fits that something was chosen for."""
    found = (read_thresholds(run, fit) for fit in fits)
    return [one for one in found if one is not None]


def fit_fingerprint(run: RunDirectory, fit: str) -> str:
    """Return what a fit depends on, as run.json says; empty where it does not."""
    fingerprints = run.facts.get("fits")
    return str(fingerprints.get(fit, "")) if isinstance(fingerprints, dict) else ""


def write_choice(run: RunDirectory, choice: Choice) -> str:
    """Add a choice to the thresholds of its fit, in place of the one of the same behavior.

    Thresholds that were chosen before the fit was trained anew are dropped: they speak of another metamodel.

    Returns:
        The path of the file below the run directory.
    """
    path = thresholds_path(choice.fit)
    fingerprint = fit_fingerprint(run, choice.fit)
    with run.lock():
        before = read_thresholds(run, choice.fit)
        kept: list[Choice] = []
        if before is not None and before.fingerprint == fingerprint:
            kept = [one for one in before.choices if one.task != choice.task]
        found = FitThresholds(fit=choice.fit, fingerprint=fingerprint, choices=(*kept, choice))
        content = {
            "schema_version": THRESHOLDS_SCHEMA_VERSION,
            "rules": rules_to_json(found.rules),
            "created_utc": utc_now(),
            "fit": choice.fit,
            "metamodel": choice.metamodel,
            "fingerprint": fingerprint,
            "choices": [choice_to_dict(one) for one in found.choices],
        }
        run.write_text(path, json.dumps(content, indent=2) + "\n")
    return path


def _content(run: RunDirectory, fit: str) -> dict[str, object] | None:
    path = thresholds_path(fit)
    if not run.exists(path):
        return None
    source = f"{run.path}/{path}"
    try:
        content = json.loads(run.read_text(path))
    except ValueError as error:
        raise DataError(f"{source} cannot be read ({error}): remove it and run `metamodel threshold` again") from error
    if not isinstance(content, dict) or content.get("schema_version") != THRESHOLDS_SCHEMA_VERSION:
        raise DataError(
            f"{source}: schema_version must be {THRESHOLDS_SCHEMA_VERSION}: run `metamodel threshold` again"
        )
    return content
