"""The `tune` section of a config: which fields of which metamodels are varied, and within what."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

from metamodel.config.components import NamedComponent, build_named, build_plan, to_json
from metamodel.errors import nearest_name_hint
from metamodel.types import JSONObject, JSONValue

_SPACE_SHAPES = "must be a list of choices, {choices: [...]} or {low: ..., high: ..., log: true, step: ...}"


@dataclass(frozen=True, kw_only=True)
class Choices:
    """One of a few values.

    Attributes:
        values: As the config writes them, each different.
    """

    values: tuple[JSONValue, ...]

    @property
    def ends(self) -> tuple[JSONValue, ...]:
        """Values that show whether the field takes them all."""
        return self.values

    def to_dict(self) -> JSONObject:
        """Return it as a config writes it."""
        return {"choices": list(self.values)}


@dataclass(frozen=True, kw_only=True)
class Range:
    """A number between two ends, both included; whole where both ends are.

    Attributes:
        low: Lower end.
        high: Upper end.
        log: Whether equal ratios are equally likely, rather than equal differences.
        step: Distance of neighbors; None leaves floats free and steps whole numbers by 1.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no range."""
        if not math.isfinite(self.low) or not math.isfinite(self.high) or self.low >= self.high:
            raise ValueError(f"low is {self.low} and high is {self.high}, low must be the smaller and both finite")
        if self.log and self.low <= 0:
            raise ValueError(f"low is {self.low}, must be above 0 where log is true")
        if self.step is not None and (self.log or not 0 < self.step <= self.high - self.low):
            raise ValueError(f"step is {self.step}, must be from above 0 to high - low, and absent where log is true")
        if self.is_whole and self.step is not None and self.step != int(self.step):
            raise ValueError(f"step is {self.step}, must be whole where low and high are")

    @property
    def is_whole(self) -> bool:
        """Whether whole numbers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[JSONValue, ...]:
        """Values that show whether the field takes them all."""
        return (self.low, self.high)

    def to_dict(self) -> JSONObject:
        """Return it as a config writes it."""
        return {"low": self.low, "high": self.high, "log": self.log, "step": self.step}


Space: TypeAlias = Choices | Range


@dataclass(frozen=True, kw_only=True)
class TunePlan:
    """How metamodels are tuned.

    Attributes:
        n_trials: Trials in all, those of an earlier, interrupted call among them.
        timeout_s: Seconds after which no further fold is begun; None sets no limit.
        n_folds: Folds of whole domains that judge each trial.
        final_domains: Domains that tuning never reads, to judge afterwards. None takes those that
            `splits.held_out_domains` lists, or a third of all where that is "all".
        spaces: Space of each varied field, by metamodel and field.
    """

    n_trials: int = 20
    timeout_s: float | None = None
    n_folds: int = 5
    final_domains: tuple[str, ...] | None = None
    spaces: Mapping[str, Mapping[str, Space]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse plans without work."""
        if self.n_trials < 1:
            raise ValueError(f"n_trials is {self.n_trials}, must be at least 1")
        if self.n_folds < 2:  # noqa: PLR2004 - one fold would leave nothing to fit on
            raise ValueError(f"n_folds is {self.n_folds}, must be at least 2")
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise ValueError(f"timeout_s is {self.timeout_s}, must be above 0, or null for no limit")


@dataclass(frozen=True, kw_only=True)
class _Scalars:
    n_trials: int = 20
    timeout_s: float | None = None
    n_folds: int = 5
    final_domains: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        TunePlan(
            n_trials=self.n_trials, timeout_s=self.timeout_s, n_folds=self.n_folds, final_domains=self.final_domains
        )


def build_tune_plan(
    section: Mapping[str, Any], metamodels: Sequence[NamedComponent], problems: list[str]
) -> TunePlan | None:
    """Build the plan; returns None after adding to `problems` what is wrong, each with its key path.

    Args:
        section: What the config says under `tune`.
        metamodels: The config's metamodels.
        problems: Where problems go.
    """
    scalars = build_plan(
        _Scalars, {k: v for k, v in section.items() if k != "spaces"}, "tune", problems, extra_known=("spaces",)
    )
    written = section.get("spaces")
    if not isinstance(written, dict) or not written:
        given = "is missing" if written is None else f"is {written!r}"
        problems.append(f"tune.spaces: {given}, must name a metamodel and its fields, as {{bag: {{dimension: [...]}}}}")
        return None
    known = {one.name: one for one in metamodels}
    spaces: dict[str, dict[str, Space]] = {}
    for name, of_metamodel in written.items():
        at = f"tune.spaces.{name}"
        if name not in known:
            problems.append(f"{at}: no metamodel has this name, {nearest_name_hint(str(name), known)}")
        elif not isinstance(of_metamodel, dict) or not of_metamodel:
            problems.append(f"{at}: is {of_metamodel!r}, must map at least one field to its space")
        else:
            spaces[name] = dict(_field_spaces(of_metamodel, known[name], at, problems))
    if scalars is None or problems:
        return None
    return TunePlan(
        n_trials=scalars.n_trials,
        timeout_s=scalars.timeout_s,
        n_folds=scalars.n_folds,
        final_domains=scalars.final_domains,
        spaces=spaces,
    )


def _field_spaces(
    written: Mapping[str, object], metamodel: NamedComponent, at: str, problems: list[str]
) -> Iterator[tuple[str, Space]]:
    known = [item.name for item in fields(metamodel.component) if item.init]
    for name, value in written.items():
        if name not in known:
            problems.append(f"{at}.{name}: unknown field, {nearest_name_hint(str(name), known)}")
            continue
        space = _space(value, getattr(metamodel.component, name), f"{at}.{name}", problems)
        if space is not None and _fits_field(space, str(name), metamodel, at, problems):
            yield str(name), space


def _space(value: object, current: object, at: str, problems: list[str]) -> Space | None:
    if isinstance(value, list):
        value = {"choices": value}
    if not isinstance(value, dict):
        problems.append(f"{at}: is {value!r}, {_SPACE_SHAPES}")
        return None
    if "choices" in value:
        return _choices(value, at, problems)
    space = build_plan(Range, value, at, problems, extra_known=("choices",))
    if space is None:
        return None
    # 0 to 1 means whole numbers where the field holds one, and everything between where it holds a float.
    if isinstance(current, float) or not all(isinstance(value[key], int) for key in ("low", "high")):
        return space
    try:
        return Range(low=value["low"], high=value["high"], log=space.log, step=space.step)
    except ValueError as error:
        problems.append(f"{at}: {error}")
        return None


def _choices(value: Mapping[str, object], at: str, problems: list[str]) -> Choices | None:
    listed = value["choices"]
    beside = [key for key in value if key != "choices"]
    if beside:
        problems.append(f"{at}: has {', '.join(beside)} beside choices, {_SPACE_SHAPES}")
    elif not isinstance(listed, list) or not listed:
        problems.append(f"{at}.choices: is {listed!r}, must be a list with at least one value")
    elif len({json.dumps(one, sort_keys=True, default=str) for one in listed}) < len(listed):
        problems.append(f"{at}.choices: names a value twice")
    else:
        return Choices(values=tuple(to_json(one) for one in listed))
    return None


def _fits_field(space: Space, name: str, metamodel: NamedComponent, at: str, problems: list[str]) -> bool:
    """Say whether the trainer takes every choice, or both ends, beside the fields that the config gives."""
    before = len(problems)
    spec = metamodel.resolved if isinstance(metamodel.resolved, dict) else {}
    for position, value in enumerate(space.ends):
        found: list[str] = []
        build_named("trainers", {**spec, name: value}, at, found)
        if found:
            place = f"choices.{position}" if isinstance(space, Choices) else ("low", "high")[position]
            problems.append(f"{at}.{name}.{place}: {'; '.join(one.removeprefix(at).lstrip('.: ') for one in found)}")
    return len(problems) == before
