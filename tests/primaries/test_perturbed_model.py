"""Perturbed primary models: the change is exact, the original untouched, the engine the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from metamodel.config.components import build_component, build_components
from metamodel.errors import ConfigError, MetamodelError
from metamodel.primaries.capabilities import DrawsSamples, HasMembers, ScoresTokens, TellsProvenance, TellsSize
from metamodel.primaries.perturbed_model import PerturbedModel
from metamodel.primaries.transformers_model import TransformersModel
from metamodel.protocols import ReadsTexts, ScoringPrimaryModel
from metamodel.types import Failure, Generation, Prompt, Sampling

ARCHITECTURES = ("gpt2", "gpt_neox", "llama", "mamba2", "lstm")
RESIDUAL = ("gpt2", "gpt_neox", "llama", "mamba2")
REAL_MODELS = Path(__file__).parents[3] / "shared" / "models"
PROMPTS = [Prompt.create(text, domain="d") for text in ("a", "Once upon a time", "2 + 2 =", "x" * 20)]
SAMPLED = Sampling(n_samples=2, temperature=0.9, max_new_tokens=10, seed=3)
TinyModel = Callable[[str], str]
Spec = dict[str, object]

NOTHING: list[Spec] = [
    {"kind": "noise", "scale": 0},
    {"kind": "quantize", "bits": 16},
    {"kind": "ablate_layers", "layers": []},
    {"kind": "ablate_heads", "layer": 0, "heads": []},
    {"kind": "ablate_units", "layer": 0, "units": []},
]


def perturbed(folder: str, **perturbation: object) -> PerturbedModel:
    """Return a model folder's perturbation."""
    return PerturbedModel(original={"kind": "transformers", "model": folder}, perturbation=perturbation)


def drawn(model: PerturbedModel | TransformersModel) -> dict[tuple[str, int], Generation]:
    """Return all generations by prompt and sample."""
    rows = [row for batch in model.generate(PROMPTS, SAMPLED) for row in batch if isinstance(row, Generation)]
    return {(row.prompt_id, row.sample): row for row in rows}


def folder_hash(folder: str) -> str:
    """Return a hash of all of a folder's files."""
    digest = hashlib.sha256()
    for path in sorted(Path(folder).iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def logits(model: PerturbedModel | TransformersModel) -> np.ndarray:
    """Return a model's logits of a fixed row."""
    import torch

    engine = model._delegate if isinstance(model, PerturbedModel) else model
    with torch.no_grad():
        return np.asarray(engine._load().model(input_ids=torch.tensor([[256, 65, 66, 67, 68]])).logits)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("nothing", NOTHING, ids=lambda spec: str(spec["kind"]))
def test_no_change_is_the_original_bit_for_bit(tiny_model: TinyModel, name: str, nothing: Spec) -> None:
    """A perturbation of size zero must give the original's outputs, or every comparison would measure the tool."""
    original = TransformersModel(model=tiny_model(name))
    same = perturbed(tiny_model(name), **nothing)
    np.testing.assert_array_equal(logits(same), logits(original))
    mine, theirs = drawn(same), drawn(original)
    assert mine.keys() == theirs.keys()
    for place, row in mine.items():
        assert (row.token_ids, row.logprobs, row.seed) == (
            theirs[place].token_ids,
            theirs[place].logprobs,
            theirs[place].seed,
        )
        assert row.key != theirs[place].key


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_original_is_untouched(tiny_model: TinyModel, name: str) -> None:
    """Neither the files nor a loaded original may change, since other primary models of the run share them."""
    from metamodel.perturbations.weights import weights_hash

    folder = tiny_model(name)
    original = TransformersModel(model=folder)
    files, weights, before = folder_hash(folder), weights_hash(original._load().model), logits(original)
    for perturbation in (
        {"kind": "noise", "scale": 0.3},
        {"kind": "quantize", "bits": 3},
        {"kind": "average", "others": [{"kind": "perturbed", "original": {"kind": "transformers", "model": folder},
                                        "perturbation": {"kind": "noise", "scale": 0.5}}]},
    ):  # fmt: skip
        changed = perturbed(folder, **perturbation)
        assert len(drawn(changed)) == len(PROMPTS) * SAMPLED.n_samples
        assert np.abs(logits(changed) - before).max() > 0
    assert folder_hash(folder) == files
    assert weights_hash(original._load().model) == weights
    np.testing.assert_array_equal(logits(original), before)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_noise_has_the_size_that_it_says(tiny_model: TinyModel, name: str) -> None:
    """Each tensor moves by scale times its root mean square, along one direction for all scales of a seed."""
    folder = tiny_model(name)
    start = dict(TransformersModel(model=folder)._load().model.named_parameters())
    moves = []
    for scale in (0.1, 0.2):
        moved = dict(perturbed(folder, kind="noise", scale=scale, seed=4)._delegate._load().model.named_parameters())
        moves.append({key: (moved[key] - start[key]).detach().double().numpy() for key in start})
    for key, weight in start.items():
        size = float(weight.detach().double().square().mean().sqrt())
        np.testing.assert_allclose(moves[1][key], 2 * moves[0][key], atol=2e-6 * max(size, 1))
        if weight.numel() >= 256 and size:
            assert 0.08 < np.sqrt((moves[0][key] ** 2).mean()) / size < 0.12
        if not size:
            assert not moves[0][key].any()
    other = perturbed(folder, kind="noise", scale=0.1, seed=5)
    assert np.abs(logits(other) - logits(perturbed(folder, kind="noise", scale=0.1, seed=4))).max() > 0


@pytest.mark.parametrize("name", RESIDUAL)
def test_an_ablated_layer_hands_on_its_input(tiny_model: TinyModel, name: str) -> None:
    """Skipping the only other layer's weights equals cutting the layer out of the stack."""
    import torch

    folder = tiny_model(name)
    ablated = perturbed(folder, kind="ablate_layers", layers=[1])
    from metamodel.perturbations.blocks import blocks_of

    cut = perturbed(folder, kind="noise", scale=0, seed=77)._delegate._load().model
    blocks = blocks_of(cut)
    kept = blocks[1].forward
    blocks[1].forward = lambda hidden_states, *_, **__: hidden_states
    try:
        with torch.no_grad():
            expected = cut(input_ids=torch.tensor([[256, 65, 66, 67, 68]]), use_cache=False).logits
    finally:
        blocks[1].forward = kept
    np.testing.assert_allclose(logits(ablated), np.asarray(expected), atol=1e-6)
    assert drawn(ablated)  # its cache still works


@pytest.mark.parametrize("name", RESIDUAL)
def test_an_ablated_head_adds_nothing(tiny_model: TinyModel, name: str) -> None:
    """The result equals the original whose head's output is set to zero before the output projection reads it."""
    import torch

    from metamodel.perturbations.blocks import blocks_of

    folder = tiny_model(name)
    copied = perturbed(folder, kind="noise", scale=0, seed=78)._delegate._load().model
    projection = next(
        module
        for path, module in blocks_of(copied)[0].named_modules()
        if path in ("attn.c_proj", "attention.dense", "self_attn.o_proj", "mixer.out_proj")
    )
    n_heads = 4 if name == "mamba2" else 2

    def silence(_module: object, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        width = inputs[0].shape[-1] // n_heads
        silent = inputs[0].clone()
        silent[..., width : 2 * width] = 0
        return (silent,)

    handle = projection.register_forward_pre_hook(silence)
    try:
        with torch.no_grad():
            expected = copied(input_ids=torch.tensor([[256, 65, 66, 67, 68]])).logits
    finally:
        handle.remove()
    found = logits(perturbed(folder, kind="ablate_heads", layer=0, heads=[1]))
    np.testing.assert_allclose(found, np.asarray(expected), atol=1e-5)
    assert np.abs(found - logits(TransformersModel(model=folder))).max() > 1e-4


def test_an_ablated_unit_of_an_lstm_is_always_zero(tiny_model: TinyModel) -> None:
    """A silenced unit's output must be zero at every position, whatever is read."""
    import torch

    changed = perturbed(tiny_model("lstm"), kind="ablate_units", layer=1, units=[2, 5])._delegate._load().model
    with torch.no_grad():
        outputs, _ = changed.lstm(changed.embeddings(torch.arange(12)[None]))
    assert not outputs[..., [2, 5]].any()
    assert outputs[..., [0, 1, 3, 4]].abs().min() > 0


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_rounding_agrees_with_torch(bits: int, *, per_channel: bool) -> None:
    """Levels, steps and rounding are those of torch's own fake quantization."""
    import torch

    from metamodel.perturbations.weights import rounded

    weight = torch.randn(7, 33, generator=torch.Generator().manual_seed(0))
    top = 2 ** (bits - 1) - 1
    if per_channel:
        steps = weight.abs().amax(dim=1) / top
        zeros = torch.zeros(7, dtype=torch.int32)
        expected = torch.fake_quantize_per_channel_affine(weight, steps, zeros, 0, -top, top)
    else:
        expected = torch.fake_quantize_per_tensor_affine(weight, float(weight.abs().max()) / top, 0, -top, top)
    found = rounded(weight, bits=bits, channel=0 if per_channel else None)
    assert (found - expected).abs().max() < 1e-6
    assert len(torch.unique(found[0])) <= 2**bits - 1
    assert not rounded(torch.zeros(3, 2), bits=bits, channel=0).any()


def test_channels_of_a_conv1d_are_its_outputs(tiny_model: TinyModel) -> None:
    """GPT-2 keeps its weights as inputs by outputs: a scale for each input would be another, better rounding."""
    model = perturbed(tiny_model("gpt2"), kind="quantize", bits=2)._delegate._load().model
    weight = model.transformer.h[0].attn.c_proj.weight.detach().numpy()  # [i, o]
    assert max(len(np.unique(column)) for column in weight.T) <= 3
    assert max(len(np.unique(row)) for row in weight) > 3


def test_average_is_the_mean_of_the_weights(tiny_model: TinyModel) -> None:
    """An average of checkpoints equals the mean, tensor by tensor, and with all weight on one of them that one."""
    folder = tiny_model("llama")
    other: Spec = {
        "kind": "perturbed",
        "original": {"kind": "transformers", "model": folder},
        "perturbation": {"kind": "noise", "scale": 0.4},
    }
    start = dict(TransformersModel(model=folder)._load().model.named_parameters())
    end = dict(build_component("primaries", other, at="x")._delegate._load().model.named_parameters())
    mixed = perturbed(folder, kind="average", others=[other], weights=[0.25, 0.75])
    for key, weight in mixed._delegate._load().model.named_parameters():
        expected = 0.25 * start[key].detach().numpy() + 0.75 * end[key].detach().numpy()
        np.testing.assert_allclose(weight.detach().numpy(), expected, atol=1e-6)
    alone = perturbed(folder, kind="average", others=[other], weights=[1, 0])
    np.testing.assert_array_equal(logits(alone), logits(TransformersModel(model=folder)))
    assert mixed.identity != alone.identity


def test_changes_stack(tiny_model: TinyModel) -> None:
    """A perturbed model can be perturbed: first the inner change, then the outer one."""
    folder = tiny_model("gpt2")
    inner = perturbed(folder, kind="ablate_layers", layers=[0])
    outer = PerturbedModel(
        original={"kind": "perturbed", "original": inner.original, "perturbation": inner.perturbation},
        perturbation={"kind": "quantize", "bits": 3},
    )
    model = outer._delegate._load().model
    assert not model.transformer.h[0].attn.c_proj.weight.any()
    assert len(np.unique(model.transformer.h[1].attn.c_proj.weight[:, 0].detach().numpy())) <= 7
    assert outer.identity.startswith(inner.identity)


def test_it_does_what_its_original_does(tiny_model: TinyModel) -> None:
    """Scores, token scores, readings, single draws, size and provenance come with it."""
    model = perturbed(tiny_model("gpt2"), kind="noise", scale=0.05)
    for ability in (
        DrawsSamples,
        ScoringPrimaryModel,
        ScoresTokens,
        ReadsTexts,
        TellsProvenance,
        TellsSize,
        HasMembers,
    ):
        assert isinstance(model, ability)
    rows = drawn(model)
    for (prompt_id, _), row in rows.items():
        text = next(prompt.text for prompt in PROMPTS if prompt.id == prompt_id)
        [again] = model.token_logprobs([text], [row.token_ids or ()])
        np.testing.assert_allclose(again, row.logprobs, atol=2e-3)
    facts = json.loads(json.dumps(model.provenance()))
    assert facts["perturbation"]["scale"] == 0.05
    assert facts["original"] == TransformersModel(model=tiny_model("gpt2")).identity
    assert facts["weights_hash"] != facts["original_weights_hash"]
    assert 0.045 < facts["relative_change"] < 0.055
    assert tiny_model("gpt2") not in json.dumps(facts)


def test_identities_tell_changes_apart(tiny_model: TinyModel) -> None:
    """Different changes must never share a generation's key; the same change must."""
    folder = tiny_model("gpt2")
    specs: list[Spec] = [
        {"kind": "noise", "scale": 0.1},
        {"kind": "noise", "scale": 0.2},
        {"kind": "noise", "scale": 0.1, "seed": 1},
        {"kind": "quantize", "bits": 4},
        {"kind": "quantize", "bits": 4, "per_channel": False},
        {"kind": "ablate_heads", "layer": 0, "heads": [0]},
        {"kind": "ablate_heads", "layer": 1, "heads": [0]},
        {"kind": "ablate_layers", "layers": [0]},
    ]
    identities = [perturbed(folder, **spec).identity for spec in specs]
    assert len(set(identities)) == len(specs)
    assert perturbed(folder, kind="noise", scale=0.1, seed=0).identity == identities[0]


def test_a_series_is_a_model_each() -> None:
    """A list of scales in one entry becomes primary models with names and specs of their own."""
    problems: list[str] = []
    entry = {"kind": "perturbed", "original": {"kind": "zoo", "model": "gpt2"},
             "perturbation": {"kind": "noise", "scale": [0.01, 0.1], "seed": 2}}  # fmt: skip
    built = build_components("primaries", [entry], "primaries", problems)
    assert not problems
    assert [one.name for one in built] == ["gpt2-noise2-0.01", "gpt2-noise2-0.1"]
    again = build_components("primaries", [one.resolved for one in built], "primaries", problems)
    assert [one.component.identity for one in again] == [one.component.identity for one in built]
    with pytest.raises(MetamodelError, match="several models"):
        build_component("primaries", entry, at="x").score(["a"], ["b"])


@pytest.mark.parametrize(
    ("perturbation", "message"),
    [
        ({"kind": "noize", "scale": 1}, "noise"),
        ({"kind": "noise", "scale": -1}, "must be 0 or more"),
        ({"kind": "noise", "scal": 1}, "unknown key"),
        ({"kind": "quantize", "bits": 1}, "from 2 to 16"),
        ({"kind": "quantize", "bits": 40}, "from 2 to 16"),
        ({"kind": "ablate_layers", "layers": [-1]}, "numbers from 0"),
        ({"kind": "ablate_heads", "layer": 0, "heads": [1, 1]}, "twice"),
        ({"kind": "average", "others": []}, "at least one"),
        ({"kind": "average", "others": [{"kind": "zoo", "model": "lstm"}], "weights": [0.2, 0.2]}, "sum to 1"),
        ({}, "kind"),
    ],
)
def test_what_means_nothing_is_refused(perturbation: Spec, message: str) -> None:
    """A mistake in a config is named with its key before anything is loaded."""
    entry = {"kind": "perturbed", "original": {"kind": "zoo", "model": "gpt2"}, "perturbation": perturbation}
    with pytest.raises(ConfigError, match=message):
        build_component("primaries", entry, at="primaries.0")


@pytest.mark.parametrize(
    ("name", "perturbation", "message"),
    [
        ("lstm", {"kind": "ablate_layers", "layers": [0]}, "ablate_units"),
        ("lstm", {"kind": "ablate_heads", "layer": 0, "heads": [0]}, "ablate_units"),
        ("lstm", {"kind": "ablate_units", "layer": 9, "units": [0]}, "from 0 to 1"),
        ("gpt2", {"kind": "ablate_units", "layer": 0, "units": [0]}, "no plain LSTM"),
        ("gpt2", {"kind": "ablate_layers", "layers": [2]}, "from 0 to 1"),
        ("llama", {"kind": "ablate_heads", "layer": 0, "heads": [2]}, "from 0 to 1"),
    ],
)
def test_what_a_model_lacks_is_named(tiny_model: TinyModel, name: str, perturbation: Spec, message: str) -> None:
    """Ablating what is not there would silently be the original: it is an error that says what is there."""
    with pytest.raises(MetamodelError, match=message):
        drawn(perturbed(tiny_model(name), **perturbation))


def test_other_architectures_cannot_be_averaged(tiny_model: TinyModel) -> None:
    """A mean of unlike tensors has no meaning."""
    other = {"kind": "transformers", "model": tiny_model("llama")}
    with pytest.raises(MetamodelError, match="another architecture"):
        drawn(perturbed(tiny_model("gpt2"), kind="average", others=[other]))


def test_weights_out_of_reach_are_refused() -> None:
    """An endpoint's weights cannot be changed, and the message says what can."""
    original = {"kind": "openai", "model": "m", "base_url": "https://localhost/v1"}
    entry = {"kind": "perturbed", "original": original, "perturbation": {"kind": "noise", "scale": 1}}
    with pytest.raises(ConfigError, match="out of reach"):
        build_component("primaries", entry, at="primaries.0")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stories260K-llama", "vanilla1M-gpt2-byte"])
def test_real_models_degrade_with_the_dose(name: str) -> None:
    """On real weights more noise and fewer bits must cost likelihood of the model's own outputs."""
    folder = REAL_MODELS / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    original = TransformersModel(model=str(folder))
    greedy = Sampling(temperature=0, max_new_tokens=40)
    prompts = [Prompt.create(text, domain="d") for text in ("Once upon a time", "Lily and Tom went to the park.")]
    rows = [row for batch in original.generate(prompts, greedy) for row in batch if not isinstance(row, Failure)]
    texts = {prompt.id: prompt.text for prompt in prompts}
    starts, outputs = [texts[row.prompt_id] for row in rows], [str(row.text) for row in rows]

    def likelihood(**perturbation: object) -> float:
        return float(perturbed(str(folder), **perturbation).score(starts, outputs).sum())

    by_noise = [likelihood(kind="noise", scale=scale) for scale in (0, 0.1, 0.5)]
    assert by_noise[0] > by_noise[1] > by_noise[2]
    by_bits = [likelihood(kind="quantize", bits=bits) for bits in (16, 4, 2)]
    assert by_bits[0] > by_bits[1] > by_bits[2]
    assert likelihood(kind="ablate_layers", layers=[0]) < by_noise[0]
