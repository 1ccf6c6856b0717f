"""Reader: what the profile says, probes against references, chosen layers, and readers that are not trusted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

import trainers.inputs.reader_spec as spec_module
from metamodel.errors import ConfigError, DataError
from metamodel.labels import Binary, LabeledPrompts, LabelTable
from metamodel.protocols import FitContext
from metamodel.types import FloatArray, Outcome, Prompt, Sampling, TextReading
from trainers.heads.logistic import LinearHead
from trainers.heads.probes import DifferenceFamily, _left_out_projections
from trainers.inputs.reader_profile import profile_names, surprisal_profile
from trainers.reader import Reader

Planted = Callable[..., LabeledPrompts]
ZOO = {"kind": "zoo", "model": "gpt2"}


@dataclass
class FakeReader:
    """A primary model whose third layer knows whether a text says king; it counts what it reads."""

    identity: str = "fake"
    n_layers: int = 4
    read: list[str] = field(default_factory=list)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Never asked to."""
        raise NotImplementedError

    def read_texts(self, texts: Sequence[str], *, max_tokens: int) -> Iterator[TextReading]:
        """Yield random states, but for one layer."""
        for text in texts:
            self.read.append(text)
            rng = np.random.default_rng(len(text) * 131 + sum(text.encode()))
            states = rng.normal(size=(self.n_layers, 8)).astype(np.float32)
            if self.n_layers > 2:
                states[2, 5] = 3.0 * ("king" in text)
            ids = np.frombuffer(text.encode()[:max_tokens], dtype=np.uint8).astype(np.int64)
            yield TextReading(
                token_ids=ids,
                logprobs=np.full(max(len(ids) - 1, 0), -1.0),
                entropies=np.ones(len(ids)),
                last_states=states,
                mean_states=states * 0,
            )


def a_reader(monkeypatch: pytest.MonkeyPatch, fake: FakeReader, **fields: object) -> Reader:
    """Return a trainer around the fake reader."""
    monkeypatch.setattr(spec_module, "build_component", lambda *_, **__: fake)
    return Reader(primary={"kind": "zoo", "model": "fake"}, **fields)  # type: ignore[arg-type] # fields of several types


def says_king(n: int) -> LabeledPrompts:
    """Return prompts of three domains whose label is whether they say king."""
    words = ("stone", "king", "river", "bird", "blue")
    rng = np.random.default_rng(0)
    texts = tuple(f"{' '.join(rng.choice(words, 3))} {number}" for number in range(n))
    codes = np.array([["king" in text] for text in texts], dtype=np.int64)
    domains = tuple("abc"[number % 3] for number in range(n))
    return LabeledPrompts(texts=texts, domains=domains, labels={"king": LabelTable(space=Binary(), codes=codes)})


def reading_of(logprobs: FloatArray, entropies: FloatArray, token_ids: Sequence[int]) -> TextReading:
    """Return a reading without states."""
    none = np.zeros((0, 0), np.float32)
    ids = np.array(token_ids, dtype=np.int64)
    return TextReading(token_ids=ids, logprobs=logprobs, entropies=entropies, last_states=none, mean_states=none)


def test_the_profile_says_what_its_names_say() -> None:
    """Known surprisals give known means, ends, slope, excess and drop at what was read before."""
    surprisals = np.array([4.0, 2.0, 1.0, 1.0])  # of tokens 2 to 5
    entropies = np.array([2.0, 2.0, 2.0, 2.0, 3.0])
    reading = reading_of(-surprisals * np.log(2), entropies * np.log(2), [7, 8, 7, 8, 8])
    numbers = dict(zip(profile_names(), surprisal_profile(reading, n_characters=10).tolist(), strict=True))
    assert numbers["log_tokens"] == pytest.approx(np.log2(6))
    assert numbers["tokens_a_character"] == pytest.approx(0.5)
    assert (numbers["mean"], numbers["log_total"]) == pytest.approx((2, np.log2(9)))
    assert numbers["spread"] == pytest.approx(surprisals.std())
    assert (numbers["first_quarter"], numbers["last_quarter"], numbers["most"]) == pytest.approx((4, 1, 4))
    assert numbers["slope"] == pytest.approx(np.polyfit(np.linspace(-0.5, 0.5, 4), surprisals, 1)[0], rel=1e-5)
    assert (numbers["entropy"], numbers["next_entropy"]) == pytest.approx((2.2, 3))
    assert (numbers["excess"], numbers["very_surprising"]) == pytest.approx((0, 0))
    assert numbers["repeated_tokens"] == pytest.approx(0.75)  # 7, 8 and 8 were there before
    assert numbers["repeated_token_drop"] == pytest.approx(4 - 4 / 3)
    assert numbers["repeated_pairs"] == pytest.approx(0.25)  # 7 8 is there twice
    assert numbers["repeated_pair_drop"] == pytest.approx(7 / 3 - 1)


@pytest.mark.parametrize("n_tokens", [0, 1, 2, 3])
def test_short_texts_have_a_finite_profile(n_tokens: int) -> None:
    """Nothing is divided by the number of tokens that are not there."""
    reading = reading_of(np.full(max(n_tokens - 1, 0), -1.0), np.ones(n_tokens), list(range(n_tokens)))
    profile = surprisal_profile(reading, n_characters=n_tokens)
    assert profile.shape == (len(profile_names()),)
    assert np.isfinite(profile).all()


def test_left_out_projections_leave_the_prompt_out() -> None:
    """The closed form is what fitting the direction without each prompt in turn gives."""
    rng = np.random.default_rng(1)
    states = rng.normal(size=(12, 5))
    yes = rng.random(12)
    shares = np.stack([1 - yes, yes], axis=1)
    found = _left_out_projections(states, shares, np.array([0, 1]))
    for row in range(12):
        rest = np.arange(12) != row
        with_it = np.average(states[rest], axis=0, weights=yes[rest])
        without = np.average(states[rest], axis=0, weights=1 - yes[rest])
        assert found[row, 0] == pytest.approx(states[row] @ (with_it - without))


def test_a_difference_of_means_points_from_one_mean_to_the_other() -> None:
    """The states' coefficients are a multiple of the difference of means, and noise alone gains no confidence."""
    rng = np.random.default_rng(2)
    yes = rng.random(300) < 0.5
    shares = np.stack([~yes, yes], axis=1).astype(np.float64)
    states = rng.normal(size=(300, 200))
    family = DifferenceFamily(n_plain=0, strengths=(1.0,))
    (noise,) = family.fit(states, shares, seed=0)
    prior = np.array([0.5, 0.5])
    assert abs(noise.predict(rng.normal(size=(500, 200)), prior)[:, 1] - 0.5).mean() < 0.1
    states[:, 3] += 3 * yes
    (told,) = family.fit(states, shares, seed=0)
    assert isinstance(told, LinearHead)
    direction = (told.coefficients[:, 1] - told.coefficients[:, 0]).astype(np.float64)
    difference = states[yes].mean(axis=0) - states[~yes].mean(axis=0)
    cosine = direction @ difference / np.linalg.norm(direction) / np.linalg.norm(difference)
    assert cosine == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("probe", ["linear", "difference", "both"])
def test_the_layer_that_knows_is_chosen(monkeypatch: pytest.MonkeyPatch, probe: str) -> None:
    """Of layers of noise and one that knows, the one is found on left-out domains, by either probe."""
    prompts = says_king(120)
    fitted = a_reader(monkeypatch, FakeReader(), probe=probe, states="last", C_grid=(0.1,)).fit(
        prompts, prompts.take([]), context=FitContext()
    )
    chosen = fitted.artifact.documents["heads"]
    assert isinstance(chosen, dict)
    assert str(chosen["king"]).endswith("_2")
    told, untold = fitted.predict(["a king 7", "a bird 7"])["king"][:, 1]
    # A share of the prior, a half, stays in either: the judged domain may be unlike all others.
    assert told > 0.75
    assert untold < 0.25


def test_each_text_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fitting, choosing and predicting cost one forward pass a text."""
    fake, prompts = FakeReader(identity="counted"), says_king(30)
    fitted = a_reader(monkeypatch, fake).fit(prompts, prompts.take([]), context=FitContext())
    fitted.predict(prompts.texts)
    assert sorted(text for text in fake.read if text != "a") == sorted(prompts.texts)


def test_a_reader_without_states_leaves_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recurrent model that shows no states is read for its surprisals alone."""
    inputs = a_reader(monkeypatch, FakeReader(n_layers=0)).inputs()
    assert inputs.width == len(profile_names())
    assert inputs.compute(["abc", ""]).shape == (2, inputs.width)


def test_settings_are_part_of_the_inputs_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever changes a number changes the name under which it is cached."""
    variants: list[dict[str, object]] = [
        {},
        {"max_tokens": 9},
        {"states": "last"},
        {"states": "none"},
        {"layers": (1,)},
    ]
    names = {a_reader(monkeypatch, FakeReader(), **fields).inputs().identity for fields in variants}
    names.add(a_reader(monkeypatch, FakeReader(identity="other")).inputs().identity)
    assert len(names) == len(variants) + 1


def test_what_it_costs_is_told(planted: Planted) -> None:
    """A saved reader says who reads, that a prediction costs a prefill, and how many bits of weights it borrows."""
    trainer = Reader(primary=ZOO, states="none", max_tokens=16, C_grid=(0.01,))
    artifact = trainer.fit(planted(10, 0), planted(5, 1), context=FitContext()).artifact
    told = artifact.documents["reader"]
    assert isinstance(told, dict)
    assert told["costs_prefill"] is True
    identity = str(told["identity"])
    assert identity.startswith("zoo/gpt2@")
    assert artifact.borrowed_bits[identity] > 32e6


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"states": "some"}, "states is 'some'"),
        ({"probe": "deep"}, "probe is 'deep'"),
        ({"layers": (-1,)}, "layers are"),
    ],
)
def test_fields_that_mean_nothing_are_refused(fields: dict[str, object], message: str) -> None:
    """Every wrong value is named with what is allowed."""
    with pytest.raises(ValueError, match=message):
        Reader(primary=ZOO, **fields)  # type: ignore[arg-type] # wrong on purpose


@pytest.mark.parametrize("primary", ["nobody", {"model": "gpt2"}, {"kind": "zoo", "model": "gpt5"}, "recorded"])
def test_a_primary_that_cannot_read_is_refused(primary: str) -> None:
    """A spec that names no reader fails before anything is read."""
    with pytest.raises(ConfigError):
        Reader(primary=primary)


def test_a_layer_that_is_not_there_is_told() -> None:
    """The error says which layers the reader has."""
    with pytest.raises(ConfigError, match=r"0 \(the embeddings\) to 5"):
        Reader(primary=ZOO, layers=(6,)).inputs()


def test_a_saved_reader_with_code_needs_trust(
    planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder cannot make a user run code or call an address: only one who trained with it, or allows it, does."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fitted = Reader(primary=ZOO, states="none", max_tokens=8, C_grid=(0.01,)).fit(
        planted(10, 0), planted(5, 1), context=FitContext()
    )
    folder = tmp_path / "saved"
    folder.mkdir()
    fitted.save(folder)
    assert not (tmp_path / "cache").exists()
    spec = json.loads((folder / "spec.json").read_text("utf-8"))
    evil: dict[str, object] = {"kind": "transformers", "model": str(tmp_path), "trust_remote_code": True}
    spec["fields"]["primary"] = evil
    (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    with pytest.raises(DataError, match=r"METAMODEL_TRUSTED_PRIMARIES=(\w+)") as refused:
        Reader.load(folder)
    monkeypatch.setenv("METAMODEL_TRUSTED_PRIMARIES", str(refused.value).rsplit("=", 1)[-1])
    with pytest.raises(Exception, match=r"config\.json"):  # allowed, and so looked for
        Reader.load(folder)
    monkeypatch.delenv("METAMODEL_TRUSTED_PRIMARIES")
    spec_module.remember_trusted(evil)  # type: ignore[arg-type] # as a fit does
    with pytest.raises(Exception, match=r"config\.json"):
        Reader.load(folder)
    spec["fields"]["primary"] = ["zoo"]
    (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    with pytest.raises(DataError, match="must be a mapping"):
        Reader.load(folder)
