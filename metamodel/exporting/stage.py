"""From a trained run to a pre-screen's folder: the metamodel with all that it needs, its rules, what it was trained on.

Shapes: n = prompts, c = outcomes of a behavior.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metamodel.config import build_config
from metamodel.dataset import ALL_PRIMARIES, read_datasets
from metamodel.errors import ConfigError, DataError, UnknownNameError, nearest_name_hint
from metamodel.exporting.card import card_text
from metamodel.exporting.choices import find_fit, parse_rule
from metamodel.labels import LabelSpace
from metamodel.metamodels import load_metamodel
from metamodel.protocols import Compresses, Compression, Metamodel
from metamodel.screen.checks import read_json, require_self_contained
from metamodel.screen.folder import SPEC_FILE, load_screen
from metamodel.screen.rules import ScreenRule, rules_to_json
from metamodel.screen.writing import screen_folder
from metamodel.thresholds.files import read_rules
from metamodel.train import Fit, planned_fits

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.screen.familiarity import Familiarity
    from metamodel.store.run_directory import RunDirectory

# What an export may move a probability by: other summation, 32-bit floats.
TOLERANCE = 1e-5
_COMPARED_PROMPTS = 64
# Beside the run's own: nothing, one character, what no encoding has, what is longer than any window.
_ODD_PROMPTS = ("", "x", "\x00", "\ud800 lone", "\u05d0 \u05e2\u05d1\u05e8\u05d9\u05ea \u200f", "word " * 20_000)


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What is asked of an export.

    Attributes:
        metamodel: A name in the config, which means its fit on the in_distribution fold; or the name of a fit's folder.
        primary: Whose fit, where a name in the config means several.
        behaviors: Behaviors whose rules are taken from `metamodel threshold`; all where none is named.
        thresholds: Rules of one's own, `BEHAVIOR=OUTCOME[,OUTCOME]:NUMBER`, in place of those chosen.
        int8: Whether weights become whole numbers of 8 bits with scales.
        false_alarm_rate: Share of prompts like the training prompts that may be warned of.
    """

    metamodel: str
    primary: str = ""
    behaviors: tuple[str, ...] = ()
    thresholds: tuple[str, ...] = ()
    int8: bool = False
    false_alarm_rate: float = 0.05


@dataclass(frozen=True, kw_only=True)
class Export:
    """What an export wrote, or would write.

    Attributes:
        folder: Where.
        fit: Name of the exported fit.
        kind: Kind of its trainer.
        behaviors: What it predicts.
        rules: What it decides by.
        n_bytes: Size of the folder; None for a dry run.
        largest_difference: Most that a probability of the folder differs from the metamodel's, on some prompts.
        int8_difference: Most that rounding to 8 bits moved one; None where nothing was rounded.
        knows_training_prompts: Whether it warns of prompts unlike those it was trained on.
        warnings: What the user should know.
    """

    folder: str
    fit: str
    kind: str
    behaviors: tuple[str, ...]
    rules: tuple[ScreenRule, ...]
    n_bytes: int | None
    largest_difference: float | None
    int8_difference: float | None
    knows_training_prompts: bool
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return {**asdict(self), "rules": rules_to_json(self.rules)}


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What is to be exported."""

    fit: Fit
    kind: str
    metamodel: Metamodel
    spaces: Mapping[str, LabelSpace]
    rules: tuple[ScreenRule, ...]
    int8_difference: float | None


def export(
    run: RunDirectory,
    request: ExportRequest,
    folder: Path,
    *,
    dry_run: bool = False,
    on_progress: Callable[[str], None] | None = None,
) -> Export:
    """Write a fitted metamodel of a run as a pre-screen, load it again and compare what both predict.

    Args:
        run: A trained run.
        request: Which metamodel, and what it shall decide by.
        folder: Where to: new or empty.
        dry_run: Check everything, write nothing.
        on_progress: Told what is being done.

    Raises:
        UnknownNameError: The run has no such metamodel, behavior, outcome or primary model.
        ConfigError: A rule cannot be read, or the name means several fits.
        RunError: The fit has not been trained.
        DataError: The metamodel cannot predict from its own files, has no shorter variant, or predicts otherwise after
            it was loaded again; the folder is taken.
    """
    tell = on_progress or (lambda _: None)
    tell("reading the run")
    config = build_config(run.config, source=f"{run.path}/run.json")
    fits = list(planned_fits(read_datasets(run, config), config))
    fit = find_fit(fits, request.metamodel, primary=request.primary)
    plan = _planned(run, fit, request)
    tell("learning the training prompts")
    familiarity = _familiarity(fit, false_alarm_rate=request.false_alarm_rate)
    found = Export(
        folder=str(folder),
        fit=fit.name,
        kind=plan.kind,
        behaviors=tuple(plan.spaces),
        rules=plan.rules,
        n_bytes=None,
        largest_difference=None,
        int8_difference=plan.int8_difference,
        knows_training_prompts=familiarity is not None,
        warnings=tuple(_warnings(plan, familiarity)),
    )
    if dry_run:
        return found
    tell("writing and comparing")
    source = _source(run, config, plan)
    with screen_folder(
        folder,
        plan.metamodel,
        spaces=plan.spaces,
        rules=plan.rules,
        source=source,
        familiarity=familiarity,
        card=card_text(source, plan.spaces, plan.rules),
    ) as unfinished:
        difference = _compared(plan, unfinished, folder)
        n_bytes = sum(path.stat().st_size for path in unfinished.rglob("*") if path.is_file())
    return replace(found, n_bytes=n_bytes, largest_difference=difference)


def _compared(plan: _Plan, unfinished: Path, folder: Path) -> float:
    """Return how far the written metamodel's predictions are from the trained one's; refuse what is too far."""
    difference = _difference(plan.metamodel, load_screen(unfinished).metamodel, _compared_prompts(plan.fit))
    if not difference <= TOLERANCE:
        raise DataError(
            f"{folder}: the exported metamodel differs from the trained one by {difference:g} in a probability, at "
            f"most {TOLERANCE:g} is allowed; nothing was written"
        )
    return difference


def _planned(run: RunDirectory, fit: Fit, request: ExportRequest) -> _Plan:
    folder = run.metamodel_folder(fit.name)
    require_self_contained(folder.rglob(SPEC_FILE))
    trained = load_metamodel(folder)
    variant = _rounded(trained) if request.int8 else trained
    labels = {name: table.space for name, table in fit.dataset.prompts.labels.items()}
    spaces: Mapping[str, LabelSpace] = getattr(trained, "spaces", labels)  # a third party's may not tell
    for name in request.behaviors:
        if name not in spaces:
            raise UnknownNameError(f"the metamodel predicts no {name!r}: {nearest_name_hint(name, spaces)}")
    own = {rule.behavior: rule for rule in (parse_rule(text, spaces) for text in request.thresholds)}
    chosen = {
        rule.behavior: rule
        for rule in read_rules(run, fit.name)
        if not request.behaviors or rule.behavior in request.behaviors
    }
    rules = tuple(_told(rule, int8=request.int8) for rule in {**chosen, **own}.values())
    spec = read_json(folder / SPEC_FILE)
    return _Plan(
        fit=fit,
        kind=str(spec.get("kind")) if isinstance(spec, dict) else "",
        metamodel=variant,
        spaces=spaces,
        rules=rules,
        int8_difference=_difference(trained, variant, _compared_prompts(fit)) if request.int8 else None,
    )


def _told(rule: ScreenRule, *, int8: bool) -> ScreenRule:
    """Return a rule whose guarantee says what it was given for."""
    if rule.guarantee is None or not int8:
        return rule
    method = f"{rule.guarantee.method}; on the metamodel before its weights were rounded to int8"
    return replace(rule, guarantee=replace(rule.guarantee, method=method))


def _rounded(metamodel: Metamodel) -> Metamodel:
    if not isinstance(metamodel, Compresses):
        raise DataError("--int8: metamodels of this kind have no shorter variant")
    return metamodel.compressed(Compression(int8=True))


def _familiarity(fit: Fit, *, false_alarm_rate: float) -> Familiarity | None:
    """Learn the fit's training prompts; None where none like them was left out of training.

    In distribution the prompts that judge tell how far is usual; elsewhere those are of another domain, and the
    validation prompts do.
    """
    from metamodel.screen.familiarity import Familiarity

    rows = fit.fold.test if fit.fold.held_out_domain is None else fit.fold.validation
    texts = fit.dataset.prompts.texts
    if not len(rows):
        return None
    try:
        return Familiarity.fit(
            [texts[row] for row in fit.fold.train], [texts[row] for row in rows], false_alarm_rate=false_alarm_rate
        )
    except ValueError as error:
        raise ConfigError([str(error)], source="export") from error


def _warnings(plan: _Plan, familiarity: Familiarity | None) -> list[str]:
    warnings = []
    if not plan.rules:
        warnings.append("no rule: every prompt passes; choose one with `metamodel threshold` or --threshold")
    if familiarity is None:
        warnings.append("no prompt was left out of training: prompts unlike the training prompts are not warned of")
    elif familiarity.limit >= 1:
        warnings.append("too few prompts were left out of training to warn of prompts unlike them")
    return warnings


def _source(run: RunDirectory, config: RunConfig, plan: _Plan) -> dict[str, object]:
    facts = run.facts
    identities = facts.get("primaries")
    known = dict(identities) if isinstance(identities, Mapping) else {}
    primary = plan.fit.dataset.primary
    primaries = list(config.primaries) if primary == ALL_PRIMARIES else [primary]
    return {
        "run": Path(run.path).name,
        "run_created_utc": facts.get("created_utc"),
        "run_git_commit": facts.get("git_commit"),
        "config_hash": facts.get("config_hash"),
        "fit": plan.fit.name,
        "metamodel": plan.fit.metamodel,
        "kind": plan.kind,
        "fold": plan.fit.fold.name,
        "n_training_prompts": len(plan.fit.fold.train),
        "primaries": {name: known.get(name) for name in primaries},
        "int8": plan.int8_difference is not None,
    }


def _compared_prompts(fit: Fit) -> list[str]:
    rows = fit.fold.test if len(fit.fold.test) else fit.fold.train
    spread = rows[np.unique(np.linspace(0, len(rows) - 1, _COMPARED_PROMPTS).astype(np.int64))]
    return [*(fit.dataset.prompts.texts[row] for row in spread), *_ODD_PROMPTS]


def _difference(one: Metamodel, other: Metamodel, prompts: Sequence[str]) -> float:
    """Return the most that two metamodels' probabilities differ by; infinite where they predict other behaviors."""
    first, second = one.predict(prompts), other.predict(prompts)
    if set(first) != set(second):
        return math.inf
    return max(float(np.abs(first[name] - second[name]).max()) for name in first)
