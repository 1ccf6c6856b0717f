"""Templates around another source: what they write, which examples they show, and what they refuse."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest

from metamodel.config import build_config
from metamodel.errors import ConfigError, DataError
from metamodel.prompts.base import take_unique
from metamodel.prompts.templates import FewShotTemplate
from metamodel.protocols import PromptSource
from metamodel.types import JSONValue

SUMS: dict[str, JSONValue] = {"kind": "addition", "max_digits": 2}


def write_questions(path: Path, n_rows: int = 6) -> dict[str, JSONValue]:
    """Write a file of questions in two domains and return the spec of its source."""
    rows = [{"prompt": f"q{n}", "answer": f"a{n}", "domain": f"d{n % 2}"} for n in range(n_rows)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return {"kind": "file", "path": str(path)}


def test_shots_are_others_of_the_same_domain(tmp_path: Path) -> None:
    """The asked prompt never stands among its own examples, nor does one of another domain, and ids are recorded."""
    source = FewShotTemplate(source=write_questions(tmp_path / "q.jsonl"), shots=2)
    assert isinstance(source, PromptSource)
    prompts = list(source.prompts(seed=3))
    assert len(prompts) == 6
    for number, prompt in enumerate(prompts):
        *shots, asked = prompt.text.split("\n\n")
        assert asked == f"q{number}"
        assert len(set(shots)) == 2
        for shot in shots:
            question, answer = shot.split(" ")
            assert question[1:] == answer[1:] != str(number)
            assert int(answer[1:]) % 2 == number % 2
        assert prompt.references == (f"a{number}",)
        assert len(prompt.attributes["shot_ids"]) == 2  # type: ignore[arg-type] # a list
        assert prompt.attributes["asked_id"] not in prompt.attributes["shot_ids"]  # type: ignore[operator] # a list


def test_one_seed_gives_one_choice(tmp_path: Path) -> None:
    """Shots depend on seed and asked prompt alone: not on how many prompts are drawn, nor on the process."""
    spec = write_questions(tmp_path / "q.jsonl", n_rows=40)
    source = FewShotTemplate(source=spec, shots=3)
    assert list(source.prompts(0)) == list(source.prompts(0))
    assert list(islice(source.prompts(0), 5)) == list(source.prompts(0))[:5]
    assert list(source.prompts(0)) != list(source.prompts(1))
    assert list(source.prompts(0)) != list(FewShotTemplate(source=spec, shots=3, seed=1).prompts(0))


def test_around_an_endless_source() -> None:
    """A generator of prompts stays endless, and its prompts stay distinct; nothing is read beyond what is asked for."""
    source = FewShotTemplate(
        source=SUMS, shots=2, template="{% for s in shots %}{{ s.text }}{{ s.answer }};{% endfor %}{{ text }}"
    )
    assert not source.is_finite
    assert len(take_unique(source, n_prompts=50, seed=0)) == 50


def test_shots_from_elsewhere(tmp_path: Path) -> None:
    """A source of shots of its own is used, whatever its domains are, where same_domain is off."""
    source = FewShotTemplate(
        source=SUMS, shots=1, shot_source=write_questions(tmp_path / "q.jsonl"), same_domain=False, domain="mixed"
    )
    prompt = next(source.prompts(0))
    assert prompt.text.startswith("q")
    assert prompt.domain == "mixed"


def test_too_few_examples_are_an_error(tmp_path: Path) -> None:
    """Fewer shots than asked for would be another distribution: said, with ways out."""
    source = FewShotTemplate(source=write_questions(tmp_path / "q.jsonl"), shots=3)
    with pytest.raises(DataError, match="2 other prompts with a gold answer in domain d0, shots is 3"):
        next(source.prompts(0))


def test_it_stands_in_the_resolved_config(tmp_path: Path) -> None:
    """A run records the template, the shots and the source within; a mistake within has its key path."""
    entry = {"kind": "template", "source": write_questions(tmp_path / "q.jsonl"), "template": "Q: {{ text }}\nA:"}
    raw = {
        "name": "t",
        "prompts": {"n_prompts": None, "sources": [entry]},
        "primaries": [{"kind": "zoo", "model": "lstm"}],
        "behaviors": [{"kind": "empty"}],
        "metamodels": [{"kind": "base_rate"}],
    }
    config = build_config(raw)
    sources = config.resolved["prompts"]["sources"]  # type: ignore[index,call-overload] # a mapping
    assert sources[0]["template"] == "Q: {{ text }}\nA:"  # type: ignore[index,call-overload] # a list of mappings
    assert next(config.sources[0].prompts(0)).text == "Q: q0\nA:"
    entry["source"] = {"kind": "adition"}
    with pytest.raises(ConfigError, match="did you mean addition"):
        build_config(raw)


@pytest.mark.parametrize(
    "template",
    [
        "{{ text.__class__ }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ text.format(1) }}",
        "{{ 'x' * 1000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ text.ljust(1000000000) }}",
        "{{ shots.append(1) }}",
        "{{ unknown }}",
        "{% for a in range(1000000000) %}x{% endfor %}",
        "{% for k in attributes.items() %}{% endfor %}",
    ],
)
def test_templates_cannot_reach_out(template: str) -> None:
    """A template from a stranger reaches no object of Python's, makes no gigabytes, names nothing that is not there."""
    with pytest.raises(DataError, match=r"template (cannot be written|writes nothing)"):
        next(FewShotTemplate(source=SUMS, template=template).prompts(0))


def test_output_is_bounded() -> None:
    """Loops within loops end where the longest prompt does."""
    loop = "{% for a in text %}{% for b in text %}{% for c in text %}{% for d in text %}" + "x" * 1000
    template = loop + "{% endfor %}" * 4
    with pytest.raises(DataError, match="writes more than"):
        list(
            islice(
                FewShotTemplate(
                    source={"kind": "addition", "min_digits": 9, "max_digits": 9}, template=template
                ).prompts(0),
                1,
            )
        )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"template": "{{ text"}, "is no jinja2 template"),
        ({"template": "{{ text|center(9) }}"}, "is no jinja2 template: No filter named 'center'"),
        ({"template": "{% include 'x' %}"}, None),
        ({"shots": -1}, "shots is -1"),
    ],
)
def test_senseless_configs_are_refused(options: dict[str, object], problem: str | None) -> None:
    """What can be known before anything is drawn is said with the config; files cannot be included."""
    if problem is None:
        with pytest.raises(DataError, match="cannot be written"):
            next(FewShotTemplate(source=SUMS, **options).prompts(0))  # type: ignore[arg-type] # wrong on purpose
        return
    with pytest.raises(ValueError, match=problem):
        FewShotTemplate(source=SUMS, **options)  # type: ignore[arg-type] # wrong on purpose
