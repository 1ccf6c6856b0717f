"""Open finished runs for transfer: their prompts, folds and label spaces, without their labels or predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from metamodel.config import build_config
from metamodel.dataset import ALL_PRIMARIES, label_spaces
from metamodel.errors import DataError, RunError
from metamodel.labels import LabelSpace
from metamodel.splits import Fold, make_folds
from metamodel.store.run_directory import RunDirectory
from metamodel.train import fit_name, fitted_across_primaries

if TYPE_CHECKING:
    from metamodel.config import RunConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class PromptSet:
    """A run's prompts of their own, changed versions left out.

    Attributes:
        ids: Their ids, n of them.
        texts: What primary models read, n of them.
        domains: Their domains, n of them.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    domains: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenedRun:
    """What transfer needs to know of a run.

    Attributes:
        name: A name of its own among the runs opened together.
        run: The run directory.
        config: Its config.
        prompts: Its prompts.
        folds: How they were divided.
        spaces: Label space of each behavior.
        across: Metamodels that were fitted once for all its primary models.
        fingerprints: Of all that determined each fit, by its folder's name.
    """

    name: str
    run: RunDirectory
    config: RunConfig
    prompts: PromptSet
    folds: tuple[Fold, ...]
    spaces: Mapping[str, LabelSpace]
    across: tuple[str, ...]
    fingerprints: Mapping[str, str]

    @property
    def is_evaluated(self) -> bool:
        """Whether predictions are stored."""
        return bool(self.run.shards("predictions"))

    def fit_name(self, metamodel: str, primary: str, fold: Fold) -> str:
        """Return the name of the folder of a fit."""
        return fit_name(metamodel, ALL_PRIMARIES if metamodel in self.across else primary, fold.name)


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """A primary model whose labels judge.

    Attributes:
        name: The primary model's name; with its run's before it where two runs have one of that name.
        opened: Its run.
        primary: Its name in the run.
    """

    name: str
    opened: OpenedRun
    primary: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Source(Target):
    """A primary model on whose labels a metamodel was trained.

    Attributes:
        metamodel: Name of the metamodel.
    """

    metamodel: str


@dataclass(frozen=True, kw_only=True)
class Common:
    """Behaviors that all runs share.

    Attributes:
        spaces: Label space of each.
        dropped: Why others are left out, by behavior.
        doubts: What a reader must know of those that stay.
    """

    spaces: Mapping[str, LabelSpace]
    dropped: Mapping[str, str]
    doubts: tuple[str, ...]


def open_runs(paths: Sequence[str]) -> list[OpenedRun]:
    """Open runs; prompts that several of them hold alike are held once.

    Raises:
        RunError: One is no run, is named twice, has no labels, or other labels than its config asks for.
    """
    twice = [path for path, times in Counter(paths).items() if times > 1]
    if twice:
        raise RunError(f"{twice[0]} is named twice: name each run once")
    known: dict[tuple[str, ...], PromptSet] = {}
    names = _short_names(paths)
    return [_opened(path, name, known) for path, name in zip(paths, names, strict=True)]


def targets(runs: Sequence[OpenedRun]) -> list[Target]:
    """Return every primary model of the runs; a run need not have metamodels."""
    names = _model_names(runs)
    return [
        Target(name=names[opened.name, primary], opened=opened, primary=primary)
        for opened in runs
        for primary in opened.config.primaries
    ]


def sources(runs: Sequence[OpenedRun], *, metamodels: Sequence[str] | None = None) -> list[Source]:
    """Return every metamodel of every primary model of the runs, metamodel by metamodel.

    Args:
        runs: Evaluated runs.
        metamodels: Names to keep; None keeps all.

    Raises:
        RunError: A run has no predictions.
        DataError: No run has a metamodel of that name.
    """
    for opened in runs:
        if not opened.is_evaluated:
            raise RunError(f"{opened.run.path} has no predictions: run `metamodel evaluate` with its config first")
    known = list(dict.fromkeys(name for opened in runs for name in opened.config.metamodels))
    unknown = [name for name in metamodels or () if name not in known]
    if unknown:
        raise DataError(f"no run has a metamodel named {unknown[0]!r}: there are {', '.join(known)}")
    names = _model_names(runs)
    return [
        Source(name=names[opened.name, primary], opened=opened, primary=primary, metamodel=metamodel)
        for metamodel in (known if metamodels is None else metamodels)
        for opened in runs
        if metamodel in opened.config.metamodels
        for primary in opened.config.primaries
    ]


def common_behaviors(runs: Sequence[OpenedRun], *, wanted: Sequence[str] | None = None) -> Common:
    """Return the behaviors that all runs have by name, with one label space.

    Args:
        runs: The runs.
        wanted: Names to keep; None keeps all.

    Raises:
        DataError: There is none, or a wanted one is not among them.
    """
    dropped: dict[str, str] = {}
    spaces: dict[str, LabelSpace] = {}
    for name in dict.fromkeys(name for opened in runs for name in opened.spaces):
        lacking = [opened.name for opened in runs if name not in opened.spaces]
        if lacking:
            dropped[name] = f"not in {', '.join(lacking[:3])}{' and others' if len(lacking) > 3 else ''}"  # noqa: PLR2004 - names that fit a line
            continue
        kinds = {opened.spaces[name] for opened in runs}
        if len(kinds) > 1:
            dropped[name] = "its label space differs between runs: " + " and ".join(sorted(map(_space_text, kinds)))
            continue
        spaces[name] = runs[0].spaces[name]
    missing = [name for name in wanted or () if name not in spaces]
    if missing or not spaces:
        what = f"no behavior {missing[0]!r} is common to all runs" if missing else "the runs have no behavior in common"
        reasons = "; ".join(f"{name}: {reason}" for name, reason in dropped.items())
        raise DataError(f"{what} (there are {', '.join(spaces) or 'none'}). {reasons}".strip())
    kept = {name: space for name, space in spaces.items() if wanted is None or name in wanted}
    return Common(spaces=kept, dropped=dropped, doubts=tuple(_doubts(runs, list(kept))))


def _doubts(runs: Sequence[OpenedRun], behaviors: Sequence[str]) -> list[str]:
    """Name behaviors that are measured in different ways."""
    found = []
    for name in behaviors:
        definitions = {str(opened.config.specs("behaviors").get(name)) for opened in runs}
        if len(definitions) > 1:
            found.append(
                f"{name} is defined in {len(definitions)} ways ({'; '.join(sorted(definitions))[:300]}): "
                "between those runs, what does not carry may be the definition's doing"
            )
    return found


def _opened(path: str, name: str, known: dict[tuple[str, ...], PromptSet]) -> OpenedRun:
    run = RunDirectory.open(path)
    config = build_config(run.config, source=f"{run.path}/run.json")
    prompts = _prompt_set(run, known)
    facts = run.facts.get("fits")
    return OpenedRun(
        name=name,
        run=run,
        config=config,
        prompts=prompts,
        folds=tuple(
            make_folds(
                prompts.texts,
                prompts.domains,
                test_share=config.splits.test_share,
                validation_share=config.splits.validation_share,
                in_distribution=config.splits.in_distribution,
                held_out_domains=config.splits.held_out_domains,
                seed=config.seed,
            )
        ),
        spaces=label_spaces(run, config),
        across=tuple(fitted_across_primaries(config)),
        fingerprints={key: str(value) for key, value in facts.items()} if isinstance(facts, dict) else {},
    )


def _prompt_set(run: RunDirectory, known: dict[tuple[str, ...], PromptSet]) -> PromptSet:
    table = run.read("prompts", columns=["prompt_id", "text", "domain", "origin_id"])
    rows = {
        prompt_id: (text, domain)
        for prompt_id, text, domain, origin in zip(
            *(table[name].to_pylist() for name in ("prompt_id", "text", "domain", "origin_id")), strict=True
        )
        if origin is None
    }
    if not rows:
        raise RunError(f"{run.path} has no prompts: run `metamodel collect` first")
    found = PromptSet(
        ids=tuple(rows), texts=tuple(text for text, _ in rows.values()), domains=tuple(one for _, one in rows.values())
    )
    same = known.setdefault(found.ids, found)
    return same if (same.texts, same.domains) == (found.texts, found.domains) else found


def _short_names(paths: Sequence[str]) -> list[str]:
    """Name each run by the last part of its path, by all of it where that is not enough."""
    last = [PurePath(path.rstrip("/")).name or path for path in paths]
    return [name if last.count(name) == 1 else path for name, path in zip(last, paths, strict=True)]


def _model_names(runs: Sequence[OpenedRun]) -> dict[tuple[str, str], str]:
    times = Counter(primary for opened in runs for primary in opened.config.primaries)
    return {
        (opened.name, primary): primary if times[primary] == 1 else f"{opened.name}:{primary}"
        for opened in runs
        for primary in opened.config.primaries
    }


def _space_text(space: LabelSpace) -> str:
    names = space.outcomes
    shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")  # noqa: PLR2004 - names that fit a line
    return f"{space.kind} with {len(names)} outcomes ({shown})"
