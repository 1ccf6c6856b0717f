"""From YAML to a gateway's config: every problem at once, each with its key path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import yaml

from metamodel.config.components import build_components, build_plan
from metamodel.errors import ConfigError, nearest_name_hint
from metamodel.gateway.plans import (
    FallbackPlan,
    GatewayConfig,
    LimitPlan,
    ListenPlan,
    ReadPlan,
    ShadowPlan,
    UpstreamPlan,
)
from metamodel.gateway.policy import Action, Policy
from metamodel.gateway.rendering import check_template
from metamodel.protocols import Featurizer
from metamodel.types import Need

_SECTIONS: Final = ("screen", "listen", "limits", "upstream", "fallbacks", "read", "policy", "shadow")
_POLICY_KEYS: Final = ("pass", "stop", "unfamiliar", "unscreened", "behaviors")
_MOST_BYTES: Final = 2**20
# What is known of a call; the rest (gold answers, other samples) nobody tells a gateway.
_KNOWN_NEEDS: Final[frozenset[Need]] = frozenset({"text", "prompt", "n_tokens", "finish_reason", "logprobs", "corpus"})


@dataclass(frozen=True, kw_only=True)
class _Scalars:
    screen: str


def load_gateway_config(path: str | Path) -> GatewayConfig:
    """Read a YAML file.

    Raises:
        ConfigError: Everything that is wrong, each problem with its key path.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ConfigError([f"is longer than {_MOST_BYTES} bytes"], source=str(path))
        raw = yaml.safe_load(content.decode("utf-8"))
    except OSError as error:
        raise ConfigError([f"cannot be read: {error.strerror or error}"], source=str(path)) from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError([f"is not YAML: {' '.join(str(error).split())}"], source=str(path)) from error
    if not isinstance(raw, dict):
        raise ConfigError([f"must be a mapping of keys, got {type(raw).__name__}"], source=str(path))
    return build_gateway_config(raw, source=str(path))


def build_gateway_config(raw: Mapping[str, Any], *, source: str = "config") -> GatewayConfig:
    """Build a config from plain data, as `load_gateway_config` reads it from YAML.

    Raises:
        ConfigError: Everything that is wrong, each problem with its key path.
    """
    problems = [f"{key}: unknown key, {nearest_name_hint(str(key), _SECTIONS)}" for key in raw if key not in _SECTIONS]
    scalars = build_plan(_Scalars, {"screen": raw["screen"]} if "screen" in raw else {}, "", problems)
    listen = build_plan(ListenPlan, _mapping(raw.get("listen"), "listen", problems), "listen", problems)
    limits = build_plan(LimitPlan, _mapping(raw.get("limits"), "limits", problems), "limits", problems)
    upstream = build_plan(UpstreamPlan, _mapping(raw.get("upstream"), "upstream", problems), "upstream", problems)
    fallbacks = _fallbacks(_mapping(raw.get("fallbacks"), "fallbacks", problems), problems)
    read = build_plan(ReadPlan, _mapping(raw.get("read"), "read", problems), "read", problems)
    if read is not None and read.template is not None:
        problems += [f"read.template: {problem}" for problem in check_template(read.template)]
    policy = build_policy(_mapping(raw.get("policy"), "policy", problems), problems)
    for at, action in policy.actions().items():
        if action.to is not None and action.to not in fallbacks:
            problems.append(f"policy.{at}.to: {nearest_name_hint(action.to, fallbacks)}")
    shadow, featurizers = _shadow(raw.get("shadow"), problems)
    if problems or scalars is None or listen is None or limits is None or upstream is None or read is None:
        raise ConfigError(problems, source=source)
    return GatewayConfig(
        screen=scalars.screen,
        listen=listen,
        limits=limits,
        upstream=upstream,
        fallbacks=fallbacks,
        read=read,
        policy=policy,
        shadow=shadow,
        featurizers=featurizers,
    )


def build_policy(section: Mapping[str, Any], problems: list[str]) -> Policy:
    """Build what a config says under `policy`; what is wrong goes to `problems`."""
    problems += [
        f"policy.{key}: unknown key, {nearest_name_hint(str(key), _POLICY_KEYS)}"
        for key in section
        if key not in _POLICY_KEYS
    ]
    found: dict[str, Action] = {}
    for key in ("pass", "stop", "unfamiliar", "unscreened"):
        if key in section:
            action = _action(section[key], f"policy.{key}", problems)
            found |= {} if action is None else {f"on_{key}": action}
    listed = _mapping(section.get("behaviors"), "policy.behaviors", problems)
    behaviors = {name: _action(value, f"policy.behaviors.{name}", problems) for name, value in listed.items()}
    return Policy(behaviors={name: action for name, action in behaviors.items() if action is not None}, **found)


def _action(value: object, at: str, problems: list[str]) -> Action | None:
    spec = {"action": value} if isinstance(value, str) else value
    if not isinstance(spec, dict):
        problems.append(f"{at}: is {value!r}, must be pass, annotate, {{action: fallback, to: ...}} or {{action: ...}}")
        return None
    return build_plan(Action, {str(key): item for key, item in spec.items()}, at, problems)


def _fallbacks(section: Mapping[str, Any], problems: list[str]) -> dict[str, FallbackPlan]:
    plans: dict[str, FallbackPlan] = {}
    for name, value in section.items():
        at = f"fallbacks.{name}"
        spec = _mapping(value, at, problems)
        known = [item.name for item in fields(UpstreamPlan)]
        inner = spec.get("upstream")
        if isinstance(inner, dict):
            problems += [
                f"{at}.upstream.{key}: unknown key, {nearest_name_hint(str(key), known)}"
                for key in inner
                if key not in known
            ]
        plan = build_plan(FallbackPlan, spec, at, problems)
        if plan is not None:
            plans[name] = plan
    return plans


def _shadow(value: object, problems: list[str]) -> tuple[ShadowPlan | None, dict[str, Featurizer]]:
    if value is None:
        return None, {}
    section = _mapping(value, "shadow", problems)
    scalars = {key: item for key, item in section.items() if key != "featurizers"}
    plan = build_plan(ShadowPlan, scalars, "shadow", problems, extra_known=("featurizers",))
    listed = section.get("featurizers")
    entries = build_components("featurizers", listed, "shadow.featurizers", problems) if listed else []
    for entry in entries:
        unknown = sorted(set(entry.component.needs) - _KNOWN_NEEDS)
        if unknown:
            problems.append(f"shadow.featurizers: {entry.name} needs {', '.join(unknown)}, which no live call has")
    return plan, {entry.name: entry.component for entry in entries}


def _mapping(value: object, path: str, problems: list[str]) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        problems.append(f"{path}: is {value!r}, must be a mapping of keys")
        return {}
    return {str(key): item for key, item in value.items()}
