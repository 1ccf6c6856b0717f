"""Templates around the prompts of another source: instructions, answer formats, examples in context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from metamodel.errors import DataError
from metamodel.prompts.base import Draws, refuse
from metamodel.protocols import PromptSource
from metamodel.types import JSONValue, Prompt

if TYPE_CHECKING:
    from jinja2 import Template

MOST_CHARACTERS = 1_000_000
_MOST_TEMPLATE_CHARACTERS = 100_000
# Shots are drawn among the first so many prompts with a gold answer: a bounded part of any source.
_POOL_PROMPTS = 1000


@dataclass(frozen=True, kw_only=True)
class FewShotTemplate:
    """Prompts of another source, written by a jinja2 template, with examples in context where shots are asked for.

    The template sees the asked prompt as `text`, `references`, `choices`, `domain` and `attributes`, and `shots`, a
    list of examples with the same names and `answer`, the first gold answer. Shots are drawn with the seed and the
    asked prompt's id, from the prompts with a gold answer; never the asked prompt itself or one with its text. The
    template is data: it runs in jinja2's sandbox, calls nothing but text methods and filters, and what it
    writes is bounded.

    Attributes:
        source: The prompt source around which it is written: {kind: ..., ...}.
        template: The jinja2 text. The default writes shots and question one after the other.
        shots: Examples in context.
        shot_source: Where shots are drawn from; the source itself without it.
        same_domain: Whether shots come from the asked prompt's domain only.
        domain: One domain for all; that of the source's prompt without it.
        seed: Further seed of the choice of shots, so that two templates in one config choose differently.
    """

    source: dict[str, JSONValue]
    template: str = "{% for shot in shots %}{{ shot.text }} {{ shot.answer }}\n\n{% endfor %}{{ text }}"
    shots: int = 0
    shot_source: dict[str, JSONValue] | None = None
    same_domain: bool = True
    domain: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a template that cannot be read, before anything is drawn."""
        refuse(
            None if self.shots >= 0 else f"shots is {self.shots}, must be 0 or more",
            None
            if self.shots <= _POOL_PROMPTS // 2
            else f"shots is {self.shots}, must be at most {_POOL_PROMPTS // 2}",
            _template_problem(self.template),
        )
        _ = self.wrapped, self.shot_wrapped  # builds them, so that a wrong spec is said with the config

    @cached_property
    def wrapped(self) -> PromptSource:
        """The source that it is written around."""
        return _built(self.source, "source")

    @cached_property
    def shot_wrapped(self) -> PromptSource:
        """The source of the shots."""
        return self.wrapped if self.shot_source is None else _built(self.shot_source, "shot_source")

    @property
    def is_finite(self) -> bool:
        """Whether the source ends."""
        return bool(getattr(self.wrapped, "is_finite", False))

    def prompts(self, seed: int) -> Iterator[Prompt]:
        """Yield the source's prompts in its order, each written by the template; no changed versions.

        Raises:
            DataError: The template cannot be written for a prompt, or there are too few prompts to draw shots from.
        """
        template = _compiled(self.template)
        pool = self._shot_pool(seed) if self.shots else {}
        for prompt in self.wrapped.prompts(seed):
            if prompt.origin_id is not None:
                continue
            shots = self._shots_for(prompt, pool, seed)
            text = _written(template, prompt, shots)
            yield Prompt.create(
                text,
                domain=self.domain or prompt.domain,
                references=prompt.references,
                choices=prompt.choices,
                attributes={**prompt.attributes, "asked_id": prompt.id, "shot_ids": [shot.id for shot in shots]},
            )

    def _shot_pool(self, seed: int) -> dict[str, list[Prompt]]:
        """Return the prompts that shots are drawn from, by domain ("" where any will do)."""
        pool: dict[str, list[Prompt]] = {}
        seen: set[str] = set()
        # An endless source may repeat itself or have no gold answers: it is looked at only so far.
        for prompt in islice(self.shot_wrapped.prompts(seed), 100 * _POOL_PROMPTS):
            group = pool.setdefault(prompt.domain if self.same_domain else "", [])
            if prompt.references and prompt.origin_id is None and prompt.id not in seen and len(group) < _POOL_PROMPTS:
                seen.add(prompt.id)
                group.append(prompt)
            elif len(pool) == 1 and len(group) >= _POOL_PROMPTS and not self._may_have_other_domains():
                break
        return pool

    def _may_have_other_domains(self) -> bool:
        return self.same_domain and not isinstance(getattr(self.shot_wrapped, "domain", None), str)

    def _shots_for(self, prompt: Prompt, pool: Mapping[str, list[Prompt]], seed: int) -> list[Prompt]:
        if not self.shots:
            return []
        group = pool.get(prompt.domain if self.same_domain else "", [])
        others = [shot for shot in group if shot.id != prompt.id and shot.text != prompt.text]
        if len(others) < self.shots:
            where = f"domain {prompt.domain}" if self.same_domain else "the source"
            raise DataError(
                f"template: {len(others)} other prompts with a gold answer in {where}, shots is {self.shots}: "
                "lower shots, name a shot_source, or set same_domain to false"
            )
        return Draws(f"template:{seed}:{self.seed}:{prompt.id}").distinct(others, self.shots)


def _built(spec: Mapping[str, JSONValue], field: str) -> PromptSource:
    from metamodel.config.components import build_component

    source: PromptSource = build_component("prompts", dict(spec), at=field)
    return source


def _compiled(text: str) -> Template:
    from metamodel.prompts.template_sandbox import template_environment

    return template_environment().from_string(text)


def _template_problem(text: str) -> str | None:
    from jinja2 import TemplateError

    if len(text) > _MOST_TEMPLATE_CHARACTERS:
        return f"template has {len(text)} characters, more than {_MOST_TEMPLATE_CHARACTERS}"
    try:
        _compiled(text)
    except TemplateError as error:
        return f"template is no jinja2 template: {error}"
    return None


def _written(template: Template, prompt: Prompt, shots: list[Prompt]) -> str:
    from jinja2 import TemplateError

    pieces: list[str] = []
    n_characters = 0
    try:
        for piece in template.generate(**_names_of(prompt), shots=[_names_of(shot) for shot in shots]):
            n_characters += len(piece)
            if n_characters > MOST_CHARACTERS:
                raise DataError(f"template writes more than {MOST_CHARACTERS} characters for prompt {prompt.id}")
            pieces.append(piece)
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise DataError(f"template cannot be written for prompt {prompt.id} of {prompt.domain}: {error}") from error
    text = "".join(pieces)
    if not text:
        raise DataError(f"template writes nothing for prompt {prompt.id} of {prompt.domain}")
    return text


def _names_of(prompt: Prompt) -> dict[str, object]:
    return {
        "text": prompt.text,
        "references": list(prompt.references),
        "answer": prompt.references[0] if prompt.references else "",
        "choices": list(prompt.choices),
        "domain": prompt.domain,
        "attributes": dict(prompt.attributes),
    }
