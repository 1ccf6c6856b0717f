"""From YAML to components: every problem of a config at once, each with its key path.

A config names components by `kind`; their fields are their config.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from metamodel.config.components import build_components, build_plan, to_json
from metamodel.config.overrides import apply_override
from metamodel.config.plans import EvaluationPlan, RunConfig, SplitPlan
from metamodel.config.search import build_tune_plan
from metamodel.engines.plan import EnginePlan
from metamodel.errors import ConfigError, nearest_name_hint
from metamodel.registry import Group
from metamodel.types import JSONObject, Sampling


@dataclass(frozen=True, kw_only=True)
class _Scalars:
    name: str = ""
    directory: str = ""
    seed: int = 0
    logger: Literal["csv", "wandb", "none"] = "csv"


@dataclass(frozen=True, kw_only=True)
class _PromptScalars:
    n_prompts: int | None = 100

    def __post_init__(self) -> None:
        if self.n_prompts is not None and self.n_prompts < 1:
            raise ValueError(f"n_prompts is {self.n_prompts}, must be at least 1, or null for all that files hold")


_LISTS: dict[str, Group] = {"primaries": "primaries", "behaviors": "featurizers", "metamodels": "trainers"}
_PLANS: dict[str, Any] = {
    "sampling": Sampling,
    "splits": SplitPlan,
    "evaluation": EvaluationPlan,
    "engine": EnginePlan,
}
_SECTIONS = ("prompts", *_LISTS, *_PLANS)


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a YAML config, apply `key.path=value` overrides, build its components.

    Args:
        path: A YAML file.
        overrides: As given to `--set`; values are YAML, list items are addressed by number (`primaries.0.model=lstm`).

    Raises:
        ConfigError: Everything that is wrong, each problem with its key path.
    """
    source = Path(path)
    try:
        raw = yaml.safe_load(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([f"cannot be read: {error.strerror or error}"], source=str(path)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError([f"is not YAML: {' '.join(str(error).split())}"], source=str(path)) from error
    if not isinstance(raw, dict):
        raise ConfigError([f"must be a mapping of keys, got {type(raw).__name__}"], source=str(path))
    for override in overrides:
        apply_override(raw, override)
    return build_config({"name": source.stem, **raw}, source=str(path))


def build_config(raw: Mapping[str, Any], *, source: str = "config") -> RunConfig:
    """Build a config from plain data, as `load_config` reads it from YAML.

    Raises:
        ConfigError: Everything that is wrong, each problem with its key path.
    """
    problems: list[str] = []
    scalar_names = [item.name for item in fields(_Scalars)]
    known = [*scalar_names, *_SECTIONS, "tune"]
    problems += [f"{key}: unknown key, {nearest_name_hint(str(key), known)}" for key in raw if key not in known]
    scalars = build_plan(_Scalars, {key: raw[key] for key in scalar_names if key in raw}, "", problems)
    prompts_section = _mapping(raw.get("prompts"), "prompts", problems, required=True)
    prompt_scalars = build_plan(
        _PromptScalars, {k: v for k, v in prompts_section.items() if k != "sources"}, "prompts", problems
    )
    sources = build_components("prompts", prompts_section.get("sources"), "prompts.sources", problems)
    listed = {
        section: build_components(group, raw.get(section), section, problems) for section, group in _LISTS.items()
    }
    plans: dict[str, Any] = {
        section: build_plan(plan_type, _mapping(raw.get(section), section, problems), section, problems)
        for section, plan_type in _PLANS.items()
    }
    tune_section = _mapping(raw.get("tune"), "tune", problems)
    tune = build_tune_plan(tune_section, listed["metamodels"], problems) if tune_section else None
    if problems or scalars is None or prompt_scalars is None:
        raise ConfigError(problems, source=source)
    directory = scalars.directory or f"runs/{scalars.name}"
    resolved: JSONObject = {
        **asdict(scalars),
        "directory": directory,
        "prompts": {"n_prompts": prompt_scalars.n_prompts, "sources": [item.resolved for item in sources]},
        **{section: [item.resolved for item in items] for section, items in listed.items()},
        **{section: to_json(asdict(plan)) for section, plan in plans.items()},
    }
    return RunConfig(
        name=scalars.name,
        directory=directory,
        seed=scalars.seed,
        n_prompts=prompt_scalars.n_prompts,
        sources=tuple(item.component for item in sources),
        primaries={item.name: item.component for item in listed["primaries"]},
        behaviors={item.name: item.component for item in listed["behaviors"]},
        metamodels={item.name: item.component for item in listed["metamodels"]},
        **plans,
        logger=scalars.logger,
        resolved=resolved,
        tune=tune,
    )


def _mapping(value: object, path: str, problems: list[str], *, required: bool = False) -> dict[str, Any]:
    if value is None and not required:
        return {}
    if not isinstance(value, dict):
        given = "is missing" if value is None else f"is {value!r}"
        problems.append(f"{path}: {given}, must be a mapping of keys")
        return {}
    return {str(key): item for key, item in value.items()}
