"""From YAML to components: every problem of a config at once, each with its key path.

This is the only file that knows pydantic. A config names components by `kind`; their fields are their config.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from metamodel.config.overrides import apply_override
from metamodel.config.plans import EvaluationPlan, JSONObject, JSONValue, RunConfig, SplitPlan
from metamodel.errors import ConfigError, MetamodelError, nearest_name_hint
from metamodel.registry import Group, component_class
from metamodel.types import Sampling

_Plan = TypeVar("_Plan")

NAME_ALLOWED = "letters, digits, '.', '_' and '-'"


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


_SECTIONS = ("prompts", "primaries", "sampling", "behaviors", "metamodels", "splits", "evaluation")


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
    scalars = _plan(_Scalars, {key: raw[key] for key in scalar_names if key in raw}, "", problems)
    prompts_section = _mapping(raw.get("prompts"), "prompts", problems, required=True)
    prompt_scalars = _plan(
        _PromptScalars, {k: v for k, v in prompts_section.items() if k != "sources"}, "prompts", problems
    )
    sources = _components("prompts", prompts_section.get("sources"), "prompts.sources", problems)
    primaries = _components("primaries", raw.get("primaries"), "primaries", problems)
    behaviors = _components("featurizers", raw.get("behaviors"), "behaviors", problems)
    metamodels = _components("trainers", raw.get("metamodels"), "metamodels", problems)
    sampling = _plan(Sampling, _mapping(raw.get("sampling"), "sampling", problems), "sampling", problems)
    splits = _plan(SplitPlan, _mapping(raw.get("splits"), "splits", problems), "splits", problems)
    evaluation = _plan(EvaluationPlan, _mapping(raw.get("evaluation"), "evaluation", problems), "evaluation", problems)
    if (
        problems
        or scalars is None
        or prompt_scalars is None
        or sampling is None
        or splits is None
        or evaluation is None
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
        "sampling": _jsonable(asdict(sampling)),
        "behaviors": [item.resolved for item in behaviors],
        "metamodels": [item.resolved for item in metamodels],
        "splits": _jsonable(asdict(splits)),
        "evaluation": _jsonable(asdict(evaluation)),
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
        resolved=resolved,
    )


@dataclass(frozen=True, kw_only=True)
class _Named:
    name: str
    component: Any  # what the group's protocol says; the protocols are checked where components are used
    resolved: JSONValue


def _components(group: Group, entries: object, path: str, problems: list[str]) -> list[_Named]:
    """Build the listed components; what is wrong with any goes to `problems`."""
    if not isinstance(entries, list) or not entries:
        given = "is missing" if entries is None else f"is {entries!r}"
        problems.append(f"{path}: {given}, must be a list with at least one {{kind: ...}}")
        return []
    built: list[_Named] = []
    for position, entry in enumerate(entries):
        at = f"{path}.{position}"
        named = _component(group, entry, at, problems)
        if named is None:
            continue
        if group != "prompts" and named.name in {other.name for other in built}:
            problems.append(f"{at}.name: {named.name} is taken by another entry, give this one a `name` of its own")
        built.append(named)
    return built


def _component(group: Group, entry: object, at: str, problems: list[str]) -> _Named | None:
    if isinstance(entry, str):
        entry = {"kind": entry}
    if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
        problems.append(f"{at}: got {entry!r}, must be a mapping with a `kind`")
        return None
    options = {str(key): value for key, value in entry.items() if key not in ("kind", "name")}
    try:
        component_type = component_class(group, entry["kind"])
    except MetamodelError as error:
        problems.append(f"{at}.kind: {error}")
        return None
    component: object | None = _plan(component_type, options, at, problems, extra_known=("kind", "name"))
    if component is None:
        return None
    name = entry.get("name") or _default_name(group, entry["kind"], component)
    if not isinstance(name, str) or not _is_safe_name(name):
        problems.append(f"{at}.name: {name!r} is not a name, use {NAME_ALLOWED}")
        return None
    resolved = {"kind": entry["kind"], "name": name, **_component_options(component)}
    return _Named(name=name, component=component, resolved=_jsonable(resolved))


def _default_name(group: Group, kind: str, component: object) -> str:
    """Name a primary model after its weights, everything else after its kind."""
    model = getattr(component, "model", None)
    if group == "primaries" and isinstance(model, str):
        return model.rstrip("/").rsplit("/", 1)[-1]
    return kind


def _component_options(component: object) -> dict[str, object]:
    return {item.name: getattr(component, item.name) for item in fields(component) if item.init}  # type: ignore[arg-type] # checked by the registry


def _is_safe_name(name: str) -> bool:
    return bool(name) and not name.startswith(".") and all(c.isascii() and (c.isalnum() or c in "._-") for c in name)


def _mapping(value: object, path: str, problems: list[str], *, required: bool = False) -> dict[str, Any]:
    if value is None and not required:
        return {}
    if not isinstance(value, dict):
        given = "is missing" if value is None else f"is {value!r}"
        problems.append(f"{path}: {given}, must be a mapping of keys")
        return {}
    return {str(key): item for key, item in value.items()}


def _plan(
    plan_type: type[_Plan],
    options: Mapping[str, Any],
    path: str,
    problems: list[str],
    *,
    extra_known: Sequence[str] = (),
) -> _Plan | None:
    """Validate `options` into a dataclass; returns None after adding to `problems` what is wrong."""
    from pydantic import TypeAdapter, ValidationError

    prefix = f"{path}." if path else ""
    known = [item.name for item in fields(plan_type) if item.init]  # type: ignore[arg-type] # callers pass dataclasses
    unknown = [key for key in options if key not in known]
    hints = [*known, *extra_known]
    problems += [f"{prefix}{key}: unknown key, {nearest_name_hint(key, hints)}" for key in unknown]
    accepted = {key: value for key, value in options.items() if key in known}
    try:
        # JSON mode is strict about types, yet reads a list as a tuple and a whole number as a float.
        plan = TypeAdapter(plan_type).validate_json(json.dumps(accepted, default=str), strict=True)
    except ValidationError as error:
        problems += [_validation_problem(prefix, detail) for detail in error.errors(include_url=False)]
        return None
    return None if unknown else plan


def _validation_problem(prefix: str, detail: Any) -> str:  # noqa: ANN401 - pydantic's own error record
    at = ".".join(str(part) for part in detail["loc"])
    message = str(detail["msg"]).removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    key = f"{prefix}{at}" if at else prefix.removesuffix(".")
    if detail["type"] == "missing":
        return f"{key}: is missing and has no default"
    given = "" if detail["type"] == "value_error" else f", got {detail['input']!r}"
    return f"{key}: {message}{given}" if key else f"{message}{given}"


def _jsonable(value: Any) -> JSONValue:  # noqa: ANN401 - whatever a component's field holds
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return _jsonable(asdict(value))
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)
