"""The folders that ship: small, loadable without remote code, and models that have learned something."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from metamodel.errors import UnknownNameError
from metamodel.primaries.zoo_model import ZooModel
from metamodel.prompts.strings import Reversal
from metamodel.types import Sampling
from metamodel.zoo.architectures import BOS_ID, ZOO_NAMES, register_lstm
from metamodel.zoo.catalog import describe, zoo_folder
from metamodel.zoo.ladder import LADDER_NAMES

MIB = 2**20


def test_sizes() -> None:
    """Protects the repository and the wheel: at most 3 MB a model, 12 MB together."""
    sizes = {name: sum(file.stat().st_size for file in zoo_folder(name).iterdir()) for name in ZOO_NAMES}
    assert max(sizes.values()) <= 3_000_000
    assert sum(sizes.values()) <= 12_000_000


@pytest.mark.parametrize("name", ZOO_NAMES)
def test_loads_from_disk(name: str) -> None:
    """Protects newcomers: each folder loads offline without trust_remote_code, fp16 weights as finite float32."""
    register_lstm()
    model = AutoModelForCausalLM.from_pretrained(zoo_folder(name), dtype=torch.float32, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(zoo_folder(name), local_files_only=True)
    assert json.loads((zoo_folder(name) / "config.json").read_text())["dtype"] == "float16"
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert all(bool(torch.isfinite(weight).all()) for weight in model.parameters())
    text = "naïve 数 <|eos|> \x00"
    assert tokenizer(text)["input_ids"] == [BOS_ID, *text.encode()]
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


@pytest.mark.parametrize("name", ZOO_NAMES)
def test_primary_model_answers(name: str) -> None:
    """Protects the bundled weights: short strings are reversed far more often than chance, which is about never."""
    source = Reversal(min_length=2, max_length=4, few_letters_share=0, periodic_share=0).prompts(3)
    prompts = {prompt.id: prompt for prompt, _ in zip(source, range(24), strict=False)}
    primary = ZooModel(model=name)
    drawn = primary.generate(list(prompts.values()), Sampling(temperature=0, max_new_tokens=8))
    rows = [row for batch in drawn for row in batch]
    right = [row.text.strip() == prompts[row.prompt_id].references[0] for row in rows]
    assert len(rows) == len(prompts)
    assert sum(right) >= len(right) / 3
    assert {row.primary for row in rows} == {f"zoo/{name}"}


def test_identity_names_weights_and_no_place() -> None:
    """Protects artifacts: the identity tells zoo models apart and holds no path of this machine."""
    identities = {name: ZooModel(model=name).identity for name in ZOO_NAMES}
    assert len(set(identities.values())) == len(ZOO_NAMES)
    assert all(identity.startswith(f"zoo/{name}@") for name, identity in identities.items())
    assert all(identity.count("/") == 1 for identity in identities.values())


def test_unknown_name() -> None:
    """Protects users from a traceback: an unknown model is refused with the nearest known one."""
    with pytest.raises(UnknownNameError, match="did you mean mamba2"):
        ZooModel(model="mamba")


def test_description_names_every_model() -> None:
    """Protects `metamodel zoo ls`: every model with its size and what it has read, the ladder last."""
    rows = describe()
    assert [row["name"] for row in rows] == [*ZOO_NAMES, *LADDER_NAMES]
    assert all(int(row["bytes"]) > MIB for row in rows[: len(ZOO_NAMES)])
    assert all({"parameters", "tokens"} < set(row) for row in rows)
