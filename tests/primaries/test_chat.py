"""Chat templates, revisions and the record of where outputs come from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from metamodel.errors import MetamodelError
from metamodel.primaries import loading
from metamodel.primaries.loading import Source, weights_identity
from metamodel.primaries.transformers_model import TransformersModel
from metamodel.types import Generation, Prompt, Sampling

TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
GREEDY = Sampling(temperature=0, max_new_tokens=8)


@pytest.fixture
def chat_model(tmp_path: Path, tiny_model: Callable[[str], str]) -> TransformersModel:
    """Return a tiny model whose tokenizer has a chat template."""
    folder = tmp_path / "chatty"
    shutil.copytree(tiny_model("gpt2"), folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return TransformersModel(model=str(folder), chat=True, system_prompt="Be brief.")


def outputs(model: TransformersModel, text: str) -> list[tuple[int, ...] | None]:
    """Return the tokens drawn for one prompt."""
    prompt = Prompt.create(text, domain="d")
    return [row.token_ids for batch in model.generate([prompt], GREEDY) for row in batch if isinstance(row, Generation)]


def test_a_chat_model_reads_the_rendered_prompt(chat_model: TransformersModel) -> None:
    """The template's text, encoded without further special tokens, is what is drawn from and scored after."""
    plain = replace(chat_model, chat=False, system_prompt="", add_special_tokens=False)
    rendered = "<system>Be brief.<user>Why?<assistant>"
    assert outputs(chat_model, "Why?") == outputs(plain, rendered)
    assert outputs(replace(chat_model, system_prompt=""), "Why?") == outputs(plain, "<user>Why?<assistant>")
    assert chat_model.score(["Why?"], ["So"])[0] == plain.score([rendered], ["So"])[0]
    tokens = [1, 2, 3]
    assert (
        chat_model.token_logprobs(["Why?"], [tokens])[0].tolist()
        == plain.token_logprobs([rendered], [tokens])[0].tolist()
    )


def test_chat_and_system_prompt_belong_to_the_identity(chat_model: TransformersModel) -> None:
    """Whatever changes the outputs changes the key; whether special tokens are added does not, in a chat."""
    other = [
        replace(chat_model, system_prompt="Be long."),
        replace(chat_model, system_prompt=""),
        replace(chat_model, chat=False, system_prompt=""),
    ]
    assert len({chat_model.identity, *(model.identity for model in other)}) == 4
    assert replace(chat_model, add_special_tokens=False).identity == chat_model.identity


def test_a_chat_that_cannot_be_is_refused(tiny_model: Callable[[str], str], chat_model: TransformersModel) -> None:
    """No template, a template without system role, and a system prompt without chat are named with what to do."""
    with pytest.raises(MetamodelError, match="no chat template"):
        outputs(TransformersModel(model=tiny_model("gpt2"), chat=True), "x")
    with pytest.raises(ValueError, match="set chat: true"):
        TransformersModel(model="x", system_prompt="Be brief.")
    strict = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    (Path(chat_model.model) / "chat_template.jinja").write_text(strict)
    with pytest.raises(MetamodelError, match="no system role; leave system_prompt empty"):
        outputs(chat_model, "x")


def test_provenance_says_what_the_outputs_come_from(chat_model: TransformersModel) -> None:
    """Precision, device, threads, special tokens, the template and an example of it are ready for run.json."""
    record = chat_model.provenance()
    assert json.loads(json.dumps(record)) == record
    assert record["dtype"] == "float32"
    assert record["device"] == "cpu"
    assert record["chat_template"] == TEMPLATE
    assert record["chat_example"] == "<system>Be brief.<user>(prompt)<assistant>"
    assert record["identity"] == chat_model.identity
    assert isinstance(record["special_tokens"], dict)
    assert "<|eos|>" in record["special_tokens"].values()


def test_a_branch_is_recorded_as_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The identity of a hub model names the commit that its branch means now; a commit is taken as it is."""
    from transformers import AutoConfig

    asked = []

    class Config:
        _commit_hash = "c" * 40

    def from_pretrained(name: str, *, revision: str, trust_remote_code: bool) -> type[Config]:
        asked.append((name, revision, trust_remote_code))
        return Config

    monkeypatch.setattr(AutoConfig, "from_pretrained", from_pretrained)
    source = Source(model="some/model", revision="dev", dtype="float32", device="cpu", trust_remote_code=False)
    loading.hub_commit.cache_clear()
    weights_identity.cache_clear()
    assert weights_identity(source) == f"some/model@{'c' * 40}"
    assert weights_identity(replace(source, revision="d" * 40)) == f"some/model@{'d' * 40}"
    assert asked == [("some/model", "dev", False)]
    loading.hub_commit.cache_clear()
    weights_identity.cache_clear()


def test_device_map_needs_accelerate(monkeypatch: pytest.MonkeyPatch, tiny_model: Callable[[str], str]) -> None:
    """Without accelerate the error names the package; a device beside a device map is a contradiction."""
    monkeypatch.setattr(loading, "find_spec", lambda _: None)
    with pytest.raises(MetamodelError, match="pip install accelerate"):
        outputs(TransformersModel(model=tiny_model("gpt2"), device_map="auto"), "x")
    with pytest.raises(ValueError, match="give one of them"):
        TransformersModel(model="x", device="cpu", device_map="auto")
