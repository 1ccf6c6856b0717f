"""Sampling local models: exact, whatever shares the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metamodel.errors import MetamodelError
from metamodel.primaries.capabilities import DrawRequest, DrawsSamples
from metamodel.primaries.transformers_model import TransformersModel
from metamodel.protocols import ScoringPrimaryModel
from metamodel.types import Failure, Generation, Prompt, Sampling

ARCHITECTURES = ("gpt2", "gpt_neox", "llama", "mamba2", "lstm")
REAL_MODELS = Path(__file__).parents[3] / "shared" / "models"
TEXTS = ["a", "Once upon a time", "2 + 2 =", "Once upon a time", "x" * 40, "", "é😀"]
PROMPTS = [Prompt.create(text, domain=f"d{index}") for index, text in enumerate(TEXTS)]
SAMPLED = Sampling(n_samples=3, temperature=0.8, max_new_tokens=12, seed=5)
GREEDY = Sampling(temperature=0, max_new_tokens=12)

TinyModel = Callable[[str], str]


def drawn(model: TransformersModel, prompts: list[Prompt], sampling: Sampling) -> dict[tuple[str, int], Generation]:
    """Return all generations by prompt and sample; each must come once."""
    rows = [row for batch in model.generate(prompts, sampling) for row in batch if isinstance(row, Generation)]
    assert len({(row.prompt_id, row.sample) for row in rows}) == len(rows)
    return {(row.prompt_id, row.sample): row for row in rows}


def assert_same_outputs(first: dict[tuple[str, int], Generation], second: dict[tuple[str, int], Generation]) -> None:
    """Fail unless tokens are equal and log-probabilities equal up to rounding."""
    assert first.keys() == second.keys()
    for place, row in first.items():
        other = second[place]
        assert replace(row, logprobs=()) == replace(other, logprobs=())
        np.testing.assert_allclose(row.logprobs, other.logprobs, atol=2e-3)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("sampling", [SAMPLED, GREEDY, replace(SAMPLED, top_k=5, top_p=0.7)])
def test_an_output_does_not_depend_on_its_batch(tiny_model: TinyModel, name: str, sampling: Sampling) -> None:
    """One big batch of mixed lengths gives, token for token, what every prompt gives alone."""
    model = TransformersModel(model=tiny_model(name))
    together = drawn(model, PROMPTS, sampling)
    alone = {
        place: row
        for prompt in reversed(PROMPTS)
        for place, row in drawn(replace(model, batch_tokens=1), [prompt], sampling).items()
    }
    assert len(together) == len(PROMPTS) * sampling.n_samples
    assert_same_outputs(together, alone)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_greedy_decoding_matches_transformers_generate(tiny_model: TinyModel, name: str) -> None:
    """Our decoding loop and the library's agree on the most likely tokens."""
    import torch

    model = TransformersModel(model=tiny_model(name))
    rows = drawn(model, PROMPTS, GREEDY)
    loaded = model._load()
    for prompt in PROMPTS:
        ids = torch.tensor(loaded.encode([prompt.text], add_special_tokens=True))
        whole = loaded.model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12, use_cache=False
        )
        assert rows[prompt.id, 0].token_ids == tuple(whole[0, ids.shape[1] :].tolist())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logprobs_are_those_of_a_fresh_reading(tiny_model: TinyModel, name: str) -> None:
    """Log-probabilities under sampling and from `score` are the model's own at temperature 1, read without a cache."""
    import torch

    model = TransformersModel(model=tiny_model(name))
    loaded = model._load()
    rows = drawn(model, PROMPTS, SAMPLED)
    for prompt in PROMPTS[:3]:
        row = rows[prompt.id, 1]
        start = loaded.encode([prompt.text], add_special_tokens=True)[0]
        with torch.inference_mode():
            logits = loaded.model(input_ids=torch.tensor([[*start, *row.token_ids]]), use_cache=False).logits[0]
        expected = torch.log_softmax(logits.double(), dim=-1)[
            torch.arange(len(start) - 1, len(logits) - 1), list(row.token_ids)
        ]
        np.testing.assert_allclose(row.logprobs, expected.numpy(), atol=2e-3)
    ascii_rows = [rows[prompt.id, 0] for prompt in PROMPTS]
    texts = {prompt.id: prompt.text for prompt in PROMPTS}
    scored = model.score([texts[row.prompt_id] for row in ascii_rows] + ["ab"], [" then" for _ in ascii_rows] + [""])
    assert scored[-1] == 0
    single = [model.score([texts[row.prompt_id]], [" then"])[0] for row in ascii_rows]
    np.testing.assert_allclose(scored[:-1], single, atol=2e-3)


def test_score_adds_up_to_a_distribution(tiny_model: TinyModel) -> None:
    """The probabilities of one-byte continuations sum to less than one: other bytes and special tokens are left."""
    model = TransformersModel(model=tiny_model("gpt2"))
    letters = [chr(code) for code in range(128)]
    total = float(np.exp(model.score(["Once"] * 128, letters)).sum())
    assert 0.01 < total < 1


def test_a_changed_seed_changes_samples_and_a_larger_k_keeps_them(tiny_model: TinyModel) -> None:
    """Seeds steer every draw; sample i is the same however many others are drawn."""
    model = TransformersModel(model=tiny_model("gpt2"))
    two = drawn(model, PROMPTS, replace(SAMPLED, n_samples=2))
    four = drawn(model, PROMPTS, replace(SAMPLED, n_samples=4))
    assert_same_outputs(two, {place: row for place, row in four.items() if place[1] < 2})
    other = drawn(model, PROMPTS, replace(SAMPLED, seed=6))
    assert {row.key for row in other.values()}.isdisjoint(row.key for row in two.values())
    assert [row.token_ids for row in other.values()] != [row.token_ids for row in two.values()]
    (only,) = [row for batch in model.draw([DrawRequest(prompt=PROMPTS[1], samples=(3,))], SAMPLED) for row in batch]
    assert only.token_ids == four[PROMPTS[1].id, 3].token_ids


def test_an_end_token_stops_a_row_and_stays_out_of_its_text(tiny_model: TinyModel) -> None:
    """Rows end on their own, the text leaves out the end token, the token ids keep it."""
    model = TransformersModel(model=tiny_model("gpt2"))
    sampling = Sampling(n_samples=40, temperature=5.0, max_new_tokens=60)
    rows = drawn(model, PROMPTS[:2], sampling).values()
    stopped = [row for row in rows if row.finish_reason == "stop"]
    assert 0 < len(stopped) < len(rows)
    for row in rows:
        assert len(row.logprobs) == len(row.token_ids)
        assert (row.token_ids[-1] == 257) == (row.finish_reason == "stop")
        assert 257 not in row.token_ids[:-1]
        assert len(row.token_ids) == 60 or row.finish_reason == "stop"
        assert "<|" not in row.text


def test_sampling_follows_the_model(tiny_model: TinyModel) -> None:
    """Frequencies of the first token agree with the model's own probabilities (chi-squared, fixed seeds)."""
    import torch
    from scipy.stats import chisquare

    model = TransformersModel(model=tiny_model("lstm"))
    n_samples = 4000
    rows = drawn(model, PROMPTS[:1], Sampling(n_samples=n_samples, temperature=1.5, max_new_tokens=1)).values()
    loaded = model._load()
    ids = torch.tensor(loaded.encode([PROMPTS[0].text], add_special_tokens=True))
    with torch.inference_mode():
        probabilities = torch.softmax(loaded.model(input_ids=ids).logits[0, -1].double() / 1.5, dim=-1).numpy()
    counts = np.bincount([row.token_ids[0] for row in rows], minlength=len(probabilities))
    common = probabilities * n_samples >= 5
    observed = np.append(counts[common], counts[~common].sum())
    expected = np.append(probabilities[common], probabilities[~common].sum()) * n_samples
    assert chisquare(observed, expected).pvalue > 1e-3


def test_prompts_without_room_are_refused_and_others_drawn(tiny_model: TinyModel) -> None:
    """A prompt is never cut: each of its samples is a final failure with its length and the limit."""
    model = TransformersModel(model=tiny_model("gpt2"))
    long = Prompt.create("y" * 84, domain="long")
    fits = Prompt.create("y" * 83, domain="long")
    sampling = replace(SAMPLED, n_samples=2)
    rows = [row for batch in model.generate([long, fits], sampling) for row in batch]
    refused = [row for row in rows if isinstance(row, Failure)]
    assert [(row.prompt_id, row.sample, row.is_final) for row in refused] == [(long.id, 0, True), (long.id, 1, True)]
    assert "85 tokens" in refused[0].reason
    assert "context of 96" in refused[0].reason
    assert {row.prompt_id for row in rows if isinstance(row, Generation)} == {fits.id}
    assert np.isnan(model.score(["y" * 97], ["z"])[0])


def test_a_prompt_without_tokens_needs_a_start_token(tiny_model: TinyModel) -> None:
    """With no special tokens an empty prompt begins from the start token that the model names."""
    model = TransformersModel(model=tiny_model("gpt2"), add_special_tokens=False)
    assert len(drawn(model, [Prompt.create("", domain="d")], GREEDY)) == 1
    assert model.identity.endswith("+no_special_tokens")
    assert model._load().encode([""], add_special_tokens=False) == [(256,)]


def test_lone_surrogates_in_prompts_are_read(tiny_model: TinyModel) -> None:
    """Broken text from a file cannot crash the tokenizer."""
    model = TransformersModel(model=tiny_model("gpt2"))
    assert len(drawn(model, [Prompt.create("a\ud800b", domain="d")], GREEDY)) == 1


def test_identity_is_a_matter_of_content(tiny_model: TinyModel, tmp_path: Path) -> None:
    """A copy under another parent is the same model, a changed weight or precision another one."""
    import shutil

    source = Path(tiny_model("gpt2"))
    copy = tmp_path / source.name
    shutil.copytree(source, copy)
    original, same = TransformersModel(model=str(source)), TransformersModel(model=str(copy))
    assert original.identity == same.identity
    assert str(tmp_path) not in same.identity
    (copy / "README.md").write_text("notes")
    assert original.identity == same.identity
    assert replace(original, dtype="bfloat16").identity != original.identity
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    assert original.identity != same.identity


def test_half_precision_draws(tiny_model: TinyModel) -> None:
    """Narrow weights work on the CPU too."""
    model = TransformersModel(model=tiny_model("gpt2"), dtype="bfloat16")
    assert len(drawn(model, PROMPTS, GREEDY)) == len(PROMPTS)


def test_weights_that_are_no_numbers_are_reported(tmp_path: Path, tiny_model: TinyModel) -> None:
    """Damaged weights end in a sentence, not in rows of nonsense."""
    import shutil

    from safetensors.torch import load_file, save_file

    folder = tmp_path / "broken"
    shutil.copytree(tiny_model("gpt2"), folder)
    weights = load_file(folder / "model.safetensors")
    weights["transformer.ln_f.weight"][:] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MetamodelError, match="not finite"):
        drawn(TransformersModel(model=str(folder)), PROMPTS, GREEDY)


def test_models_that_cannot_be_loaded_say_what_to_do(tmp_path: Path, tiny_model: TinyModel) -> None:
    """A wrong path, an empty folder, broken weights and a wrong device are the user's mistakes, each with advice."""
    import shutil

    with pytest.raises(MetamodelError, match="does not exist"):
        drawn(TransformersModel(model=str(tmp_path / "none")), PROMPTS, GREEDY)
    with pytest.raises(MetamodelError, match=r"no config\.json"):
        _ = TransformersModel(model=str(tmp_path)).identity
    folder = tmp_path / "broken"
    shutil.copytree(tiny_model("gpt2"), folder)
    (folder / "model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(MetamodelError, match="cannot load the model in folder"):
        drawn(TransformersModel(model=str(folder)), PROMPTS, GREEDY)
    with pytest.raises(MetamodelError, match="use auto or cpu"):
        drawn(TransformersModel(model=tiny_model("gpt2"), device="nonsense"), PROMPTS, GREEDY)
    with pytest.raises(ValueError, match="batch_tokens"):
        TransformersModel(model="x", batch_tokens=0)


def test_it_offers_every_capability(tiny_model: TinyModel) -> None:
    """Collect and evaluation find scoring and single samples through the protocols."""
    model = TransformersModel(model=tiny_model("gpt2"))
    assert isinstance(model, ScoringPrimaryModel)
    assert isinstance(model, DrawsSamples)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["stories260K-llama", "vanilla1M-gpt2-byte", "charlstm-darwin", "charlstm-shakespeare"]
)
def test_real_models_do_not_depend_on_their_batch(name: str) -> None:
    """Trained models with peaked distributions, one without a cache among them: the same outputs alone and together."""
    if not (REAL_MODELS / name).is_dir():
        pytest.skip(f"{REAL_MODELS / name} is not on this machine")
    is_custom = name.startswith("charlstm")
    model = TransformersModel(model=str(REAL_MODELS / name), trust_remote_code=is_custom)
    if is_custom:
        with pytest.raises(MetamodelError, match="trust_remote_code: true"):
            drawn(replace(model, trust_remote_code=False), PROMPTS, GREEDY)
    texts = ["Once upon a time", "The", "It was late, and the king said to his", "I have no"]
    prompts = [Prompt.create(text, domain="d") for text in texts]
    for sampling in (replace(SAMPLED, max_new_tokens=24), replace(GREEDY, max_new_tokens=24)):
        alone = {place: row for prompt in prompts for place, row in drawn(model, [prompt], sampling).items()}
        assert_same_outputs(drawn(model, prompts, sampling), alone)
    rows = list(drawn(model, prompts, GREEDY).values())
    stopped = [len(row.token_ids) - (row.finish_reason == "stop") for row in rows]
    expected = [sum(row.logprobs[:n]) for row, n in zip(rows, stopped, strict=True)]
    by_id = {prompt.id: prompt.text for prompt in prompts}
    scored = model.score([by_id[row.prompt_id] for row in rows], [row.text for row in rows])
    if name == "stories260K-llama":  # retokenizing a text may find a likelier spelling or a less likely one
        assert np.isfinite(scored).all()
    else:
        np.testing.assert_allclose(scored, expected, atol=1e-3)
