"""The primary model that chooses: the same log-likelihoods as lm-evaluation-harness, and a failure where none exist."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from metamodel.config.components import build_component
from metamodel.errors import ConfigError
from metamodel.primaries.capabilities import DrawsSamples
from metamodel.primaries.choice_scorer import ChoiceScorer
from metamodel.primaries.transformers_model import TransformersModel
from metamodel.types import Failure, Generation, Outcome, Prompt, Sampling

MODELS = Path(__file__).parents[3] / "shared" / "models"
GREEDY = Sampling(temperature=0)
TinyModel = Callable[[str], str]


def scorer(model: str, **options: str) -> ChoiceScorer:
    """Return the component over a model folder."""
    return ChoiceScorer(primary={"kind": "transformers", "model": model}, **options)


def outcomes(primary: ChoiceScorer, prompts: Sequence[Prompt]) -> dict[str, Outcome]:
    """Return what the primary model yields for each prompt's text."""
    text_of = {prompt.id: prompt.text for prompt in prompts}
    return {text_of[row.prompt_id]: row for batch in primary.generate(prompts, GREEDY) for row in batch}


def requests(n_requests: int) -> list[tuple[str, str]]:
    """Return (prompt, continuation) pairs with the borders that tokenizers treat in their own ways."""
    words = "Once upon a time there was a little girl who liked to play with her dog and the sun in the park".split()  # noqa: SIM905 - reads better
    draws = random.Random(0)  # noqa: S311 - test data
    pairs = [("", "Once upon"), ("Once  ", "upon"), ("Tom said:\n", '"Hi!"'), ("go", "ing home"), ("A", ".")]
    while len(pairs) < n_requests:
        start, end = (" ".join(draws.choices(words, k=draws.randint(1, 12))) for _ in range(2))
        pairs.append((start, draws.choice([" ", "", "\n", ", "]) + end))
    return pairs


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["stories260K-llama", "vanilla1M-gpt2-byte", "charlstm-darwin", "charlstm-shakespeare"]
)
def test_log_likelihoods_equal_lm_evals(name: str) -> None:
    """A multiple-choice result must mean what it means in lm-evaluation-harness: 60 requests a real model, to 1e-4."""
    pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install 'metamodel[test]'")
    folder = MODELS / name
    if not folder.is_dir():
        pytest.skip(f"the real model {name} is not beside this checkout")
    # Without a start token nothing can follow an empty prompt: ours gives NaN.
    pairs = [pair for pair in requests(60) if pair[0] or not name.startswith("charlstm")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lm-eval's own
        from lm_eval.api.instance import Instance
        from lm_eval.models.huggingface import HFLM

        # lm-eval cannot do without a start token, which the character models have not.
        prefix = {"prefix_token_id": 0} if name.startswith("charlstm") else {}
        harness = HFLM(str(folder), device="cpu", dtype="float32", batch_size=1, trust_remote_code=True, **prefix)
        asked = [Instance("loglikelihood", {}, pair, index) for index, pair in enumerate(pairs)]
        theirs = np.array([value for value, _ in harness.loglikelihood(asked, disable_tqdm=True)])
    model = TransformersModel(model=str(folder), trust_remote_code=True)
    ours = model.score([prompt for prompt, _ in pairs], [continuation for _, continuation in pairs])
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=0)


def test_the_likeliest_choice_is_the_output(tiny_model: TinyModel) -> None:
    """The output is the choice with the highest log-likelihood, and all of them are kept in the prompt's order."""
    primary = scorer(tiny_model("gpt2"))
    prompt = Prompt.create("Is water wet?", domain="d", choices=["no", "yes", "who knows"])
    row = outcomes(primary, [prompt])[prompt.text]
    assert isinstance(row, Generation)
    logprobs = row.metadata["choice_logprobs"]
    alone = [TransformersModel(model=tiny_model("gpt2")).score([prompt.text], [f" {c}"])[0] for c in prompt.choices]
    np.testing.assert_allclose(np.array(logprobs, dtype=float), alone, atol=1e-4)
    assert row.text == prompt.choices[int(np.argmax(alone))]
    assert row.logprobs is None


def test_prompts_without_an_answer_fail_for_good(tiny_model: TinyModel) -> None:
    """A prompt without choices, or beyond the context, becomes a final failure with its reason; others are scored."""
    prompts = [
        Prompt.create("open", domain="d"),
        Prompt.create("y" * 200, domain="d", choices=["a", "b"]),
        Prompt.create("fits", domain="d", choices=["a", "b"]),
    ]
    rows = outcomes(scorer(tiny_model("gpt2")), prompts)
    open_row, long_row = rows["open"], rows["y" * 200]
    assert isinstance(open_row, Failure)
    assert isinstance(long_row, Failure)
    assert open_row.is_final
    assert "no choices" in open_row.reason
    assert "context" in long_row.reason
    assert isinstance(rows["fits"], Generation)


def test_what_changes_outputs_changes_the_identity(tiny_model: TinyModel) -> None:
    """Outputs under another delimiter or model are never taken for these."""
    identities = [
        scorer(tiny_model("gpt2")).identity,
        scorer(tiny_model("gpt2"), delimiter="").identity,
        scorer(tiny_model("llama")).identity,
    ]
    assert len(set(identities)) == 3
    assert all(a != b for a, b in pairwise(identities))


def test_mistakes_are_named(tiny_model: TinyModel) -> None:
    """A nested kind that does not exist, a model that cannot score, and chance are refused in words."""
    with pytest.raises(ConfigError, match=r"primary\.kind: no primaries component is named 'transformer'"):
        build_component("primaries", {"kind": "score", "primary": {"kind": "transformer"}}, at="primaries.0")
    with pytest.raises(ConfigError, match="cannot score"):
        build_component(
            "primaries",
            {"kind": "score", "primary": {"kind": "score", "primary": {"kind": "zoo", "model": "gpt2"}}},
            at="primaries.0",
        )
    prompt = Prompt.create("q", domain="d", choices=["a"])
    with pytest.raises(ConfigError, match="temperature is 1"):
        list(scorer(tiny_model("gpt2")).generate([prompt], Sampling(temperature=1.0)))
    assert isinstance(scorer(tiny_model("gpt2")), DrawsSamples)
