"""What holds for every generated domain."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.metadata import entry_points
from itertools import islice

import pytest

from metamodel.prompts import GENERATED_DOMAINS, ZOO_HELD_OUT_DOMAINS
from metamodel.prompts.base import Example, GeneratedDomain
from metamodel.protocols import PromptSource

LONGEST_PROMPT_BYTES = 380
CONTEXT_BYTES = 512
WITHOUT_REFERENCES = {"story", "summary", "mechanistic", "repeated_text"}


def test_entry_points_and_generators_agree() -> None:
    """Every generated domain is registered under its own name, and nothing registered breaks the seam."""
    registered = {point.name: point for point in entry_points(group="metamodel.prompts")}
    for name in GENERATED_DOMAINS:
        component = registered[name].load()()
        assert isinstance(component, PromptSource)
        assert next(component.prompts(seed=0)).domain == name
    assert set(registered) >= {*GENERATED_DOMAINS, "file", "text_windows"}
    assert set(ZOO_HELD_OUT_DOMAINS) < set(GENERATED_DOMAINS)


def test_one_seed_gives_one_sequence(generator: GeneratedDomain) -> None:
    """The same seed draws the same prompts, another seed draws others."""
    first, again, other = (list(islice(generator.prompts(seed), 30)) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_prompts_are_those_of_the_examples(generator: GeneratedDomain, first_examples: list[Example]) -> None:
    """A primary model is sampled on the very distribution that a zoo model is trained on."""
    prompts = list(islice(generator.prompts(seed=0), len(first_examples)))
    assert prompts == [prompt for prompt, _ in first_examples]


def test_prompts_fit_a_byte_level_model(first_examples: list[Example]) -> None:
    """Prompts are short ASCII, and with their continuation they leave room in 512 bytes."""
    for prompt, continuation in first_examples:
        assert prompt.text.isascii()
        assert continuation.isascii()
        assert 0 < len(prompt.text) <= LONGEST_PROMPT_BYTES
        assert len(prompt.text) + len(continuation) < CONTEXT_BYTES


def test_continuations_begin_where_prompts_end(generator: GeneratedDomain, first_examples: list[Example]) -> None:
    """A continuation brings its own space, so that prompt + continuation is plain text; meaningless text has none."""
    for prompt, continuation in first_examples:
        if generator.domain in {"mechanistic", "repeated_text"}:
            assert continuation == ""
        else:
            assert prompt.text == prompt.text.strip()
            assert continuation == f" {continuation.strip()}"
            assert len(continuation) > 1


def test_references_are_the_continuations(generator: GeneratedDomain, first_examples: list[Example]) -> None:
    """Where one answer is right it is the only reference and the continuation; open-ended domains have none."""
    for prompt, continuation in first_examples:
        golds = () if generator.domain in WITHOUT_REFERENCES else (continuation[1:],)
        assert prompt.references == golds


def test_difficulty_is_recorded_with_one_set_of_names(
    generator: GeneratedDomain, first_examples: list[Example]
) -> None:
    """Difficulty parameters of a domain form a table: every prompt has all of them, and they differ."""
    names = {tuple(prompt.attributes) for prompt, _ in first_examples}
    assert len(names) == 1
    assert names != {()}
    attribute_values = {tuple(prompt.attributes.values()) for prompt, _ in first_examples}
    assert len(attribute_values) > 1, generator.domain


def test_a_domain_can_be_renamed(generator: GeneratedDomain) -> None:
    """Two variants of a generator can stand in one run under names of their own."""
    renamed = replace(generator, domain="other")  # type: ignore[type-var]  # every component is a dataclass
    assert next(renamed.prompts(seed=0)).domain == "other"


def test_prompts_do_not_depend_on_the_process() -> None:
    """Python salts its hashes anew in every process; prompts must not follow them."""
    code = "from metamodel.prompts.strings import Successor; print(next(Successor().prompts(seed=5)).text)"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": salt}, capture_output=True, text=True, check=True
        ).stdout
        for salt in ("1", "2")
    }
    assert len(outputs) == 1
    assert outputs.pop().startswith("Continue by ")


@pytest.mark.parametrize("module", ["arithmetic", "stories", "files"])
def test_components_import_without_heavy_packages(module: str) -> None:
    """Listing components must stay fast: no torch, pandas or pyarrow is imported with them."""
    code = (
        f"import sys, metamodel.prompts.{module}; "
        "print(sorted({'torch', 'transformers', 'pandas', 'pyarrow', 'fsspec'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
