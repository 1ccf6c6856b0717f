"""From YAML to components: every problem of a config at once, each with its key path.

A config names components by `kind`; their fields are their config.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from metamodel.config.components import build_components, build_plan, to_json
from metamodel.config.overrides import apply_override
from metamodel.config.plans import EvaluationPlan, RunConfig, SplitPlan
from metamodel.engines.plan import EnginePlan
from metamodel.errors import ConfigError, nearest_name_hint
from metamodel.types import JSONObject, Sampling

_PlanType = TypeVar("_PlanType")


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


_SECTIONS = ("prompts", "primaries", "sampling", "behaviors", "metamodels", "splits", "evaluation", "engine")


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
    known = [*scalar_names, *_SECTIONS]
    problems += [f"{key}: unknown key, {nearest_name_hint(str(key), known)}" for key in raw if key not in known]
    scalars = build_plan(_Scalars, {key: raw[key] for key in scalar_names if key in raw}, "", problems)
    prompts_section = _mapping(raw.get("prompts"), "prompts", problems, required=True)
    prompt_scalars = build_plan(
        _PromptScalars, {k: v for k, v in prompts_section.items() if k != "sources"}, "prompts", problems
    )
    sources = build_components("prompts", prompts_section.get("sources"), "prompts.sources", problems)
    primaries = build_components("primaries", raw.get("primaries"), "primaries", problems)
    behaviors = build_components("featurizers", raw.get("behaviors"), "behaviors", problems)
    metamodels = build_components("trainers", raw.get("metamodels"), "metamodels", problems)
    sampling = _plan(Sampling, raw, "sampling", problems)
    splits = _plan(SplitPlan, raw, "splits", problems)
    evaluation = _plan(EvaluationPlan, raw, "evaluation", problems)
    engine = _plan(EnginePlan, raw, "engine", problems)
    if (
        problems
        or scalars is None
        or prompt_scalars is None
        or sampling is None
        or splits is None
        or evaluation is None
        or engine is None
    ):
        raise ConfigError(problems, source=source)
    directory = scalars.directory or f"runs/{scalars.name}"
    resolved: JSONObject = {
        "name": scalars.name,
        "directory": directory,
        "seed": scalars.seed,
        "logger": scalars.logger,
        "prompts": {"n_prompts": prompt_scalars.n_prompts, "sources": [item.resolved for item in sources]},
        "primaries": [item.resolved for item in primaries],
        "sampling": to_json(asdict(sampling)),
        "behaviors": [item.resolved for item in behaviors],
        "metamodels": [item.resolved for item in metamodels],
        "splits": to_json(asdict(splits)),
        "evaluation": to_json(asdict(evaluation)),
        "engine": to_json(asdict(engine)),
    }
    return RunConfig(
        name=scalars.name,
        directory=directory,
        seed=scalars.seed,
        n_prompts=prompt_scalars.n_prompts,
        sources=tuple(item.component for item in sources),
        primaries={item.name: item.component for item in primaries},
        sampling=sampling,
        behaviors={item.name: item.component for item in behaviors},
        metamodels={item.name: item.component for item in metamodels},
        splits=splits,
        evaluation=evaluation,
        logger=scalars.logger,
        engine=engine,
        resolved=resolved,
    )


def _plan(plan_type: type[_PlanType], raw: Mapping[str, Any], section: str, problems: list[str]) -> _PlanType | None:
    return build_plan(plan_type, _mapping(raw.get(section), section, problems), section, problems)


def _mapping(value: object, path: str, problems: list[str], *, required: bool = False) -> dict[str, Any]:
    if value is None and not required:
        return {}
    if not isinstance(value, dict):
        given = "is missing" if value is None else f"is {value!r}"
        problems.append(f"{path}: {given}, must be a mapping of keys")
        return {}
    return {str(key): item for key, item in value.items()}
