"""What every registered trainer promises."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from metamodel.errors import DataError, MetamodelError
from metamodel.labels import Binary, Categorical, LabeledPrompts, LabelTable
from metamodel.protocols import FitContext, Metamodel, Trainer
from metamodel.registry import component_class, component_names
from metamodel.types import Predictions

Planted = Callable[..., LabeledPrompts]

KINDS = component_names("trainers")
# Small enough for a test; what is tested here does not depend on how good a metamodel gets.
QUICK: dict[str, dict[str, object]] = {
    "bag": {"max_epochs": 3, "n_buckets": 2048},
    "static": {"max_epochs": 3, "n_pools": 1},
    "calibrated": {"n_folds": 2},
    "surface": {"C_grid": (0.01,), "rounds": (5, 10)},
    "encoder": {"max_tokens": 64, "overlap_tokens": 16, "max_windows": 2, "C_grid": (0.01,)},
    "stack": {"members": ("prompt_length", "tfidf_logistic"), "n_folds": 2, "penalties": (10.0, 100.0)},
    "reader": {"layers": (3,), "max_tokens": 64, "C_grid": (0.01,)},
    # No judge to be trusted, but one that works offline: whatever it writes must do no harm.
    "demands": {"judge": {"kind": "zoo", "model": "gpt2"}, "rubrics": ("How hard?",), "head": "linear"},
}
STRANGE = [
    "",
    " \t\n",
    "x",
    "\ud800 lone \udfff",
    "a\x00b",
    "日本語 🦜 e\u0301",
    "\u2028\u3000",
    "ab " * 33_400,
    "字" * 100_000,
]


def trainer(kind: str) -> Trainer:
    """Build a registered trainer with settings for tests."""
    built = component_class("trainers", kind)(**QUICK.get(kind, {}))
    assert isinstance(built, Trainer)
    return built


@pytest.fixture(scope="module")
def fitted(planted: Planted) -> dict[str, Metamodel]:
    """Every registered trainer, fitted once on the same prompts."""
    train, validation = planted(120, 0), planted(40, 1)
    return {kind: trainer(kind).fit(train, validation, context=FitContext(seed=3)) for kind in KINDS}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Name of a registered trainer."""
    return str(request.param)


def assert_valid(predictions: Predictions, prompts: LabeledPrompts, n: int) -> None:
    """Fail unless these are distributions without zeros for each behavior."""
    assert list(predictions) == list(prompts.labels)
    for name, values in predictions.items():
        assert values.shape == (n, len(prompts.labels[name].space.outcomes))
        assert values.dtype == np.float64
        assert ((values > 0) & (values < 1)).all()
        np.testing.assert_allclose(values.sum(axis=1), 1, rtol=0, atol=1e-12)


def assert_same(left: Predictions, right: Predictions) -> None:
    """Fail unless both are equal bit for bit."""
    assert list(left) == list(right)
    for name in left:
        assert np.array_equal(left[name], right[name]), name


def test_predictions_are_distributions(kind: str, fitted: dict[str, Metamodel], planted: Planted) -> None:
    """Probabilities of every behavior sum to one and exclude nothing, with and without domains."""
    prompts = planted(30, 2)
    assert isinstance(fitted[kind], Metamodel)
    assert_valid(fitted[kind].predict(prompts.texts), prompts, 30)
    assert_valid(fitted[kind].predict(prompts.texts, domains=prompts.domains), prompts, 30)
    assert_valid(fitted[kind].predict([]), prompts, 0)


def test_strange_texts(kind: str, fitted: dict[str, Metamodel], planted: Planted) -> None:
    """Empty, very long and malformed texts are predicted like others."""
    assert_valid(fitted[kind].predict(STRANGE), planted(1, 0), len(STRANGE))


def test_save_and_load(kind: str, fitted: dict[str, Metamodel], planted: Planted, tmp_path: Path) -> None:
    """A loaded metamodel predicts the same bits, has the same length and can be saved again."""
    prompts = planted(25, 4)
    fitted[kind].save(tmp_path)
    loaded = component_class("trainers", kind).load(tmp_path)  # type: ignore[attr-defined] # the protocol's method
    texts = [*prompts.texts, *STRANGE]
    domains = [*prompts.domains, *("new" for _ in STRANGE)]
    assert_same(loaded.predict(texts, domains=domains), fitted[kind].predict(texts, domains=domains))
    assert loaded.description_bits == fitted[kind].description_bits > 0
    before = _files(tmp_path)
    assert {"spec.json", "weights.safetensors", "calibration.json", "README.md"} <= set(before)
    loaded.save(tmp_path)
    assert _files(tmp_path) == before
    assert json.loads(before["spec.json"])["training"]["seed"] == 3
    assert b"120 prompts" in before["README.md"]


def test_rows_do_not_depend_on_their_batch(kind: str, fitted: dict[str, Metamodel], planted: Planted) -> None:
    """A prompt's prediction is the same bits alone, in a batch and in a batch of another order."""
    prompts = planted(23, 5)
    together = fitted[kind].predict(prompts.texts, domains=prompts.domains)
    backward = fitted[kind].predict(prompts.texts[::-1], domains=prompts.domains[::-1])
    assert_same({name: values[::-1] for name, values in backward.items()}, together)
    for row in range(0, 23, 5):
        alone = fitted[kind].predict([prompts.texts[row]], domains=[prompts.domains[row]])
        assert_same(alone, {name: values[row : row + 1] for name, values in together.items()})


def test_fit_is_reproducible(kind: str, fitted: dict[str, Metamodel], planted: Planted) -> None:
    """The same prompts and seed give the same predictions, whatever numpy and torch drew before."""
    np.random.default_rng().random()
    again = trainer(kind).fit(planted(120, 0), planted(40, 1), context=FitContext(seed=3))
    texts = planted(20, 6).texts
    assert_same(again.predict(texts), fitted[kind].predict(texts))


def test_few_prompts_and_odd_labels(kind: str, planted: Planted) -> None:
    """Ten prompts, no validation, one class only, no label at all: predictions stay distributions."""
    prompts = planted(10, 7)
    spaces = {"once": Binary(), "never": Categorical(classes=("a", "b", "c", "d"))}
    codes = {"once": np.ones((10, 2), dtype=np.int64), "never": np.full((10, 2), -1)}
    labels = {name: LabelTable(space=spaces[name], codes=codes[name]) for name in spaces} | dict(prompts.labels)
    train = LabeledPrompts(texts=prompts.texts, domains=prompts.domains, labels=labels)
    predictions = trainer(kind).fit(train, train.take([]), context=FitContext()).predict(["a king", ""])
    assert_valid(predictions, train, 2)
    np.testing.assert_allclose(predictions["never"], 0.25, rtol=0, atol=1e-12)
    assert (predictions["once"][:, 1] > 0.9).all()


def test_texts_without_content(kind: str) -> None:
    """Training texts that are all empty leave the prior."""
    table = LabelTable(space=Binary(), codes=np.array([[0], [1], [1], [1]]))
    train = LabeledPrompts(texts=("",) * 4, domains=("d",) * 4, labels={"f": table})
    predictions = trainer(kind).fit(train, train.take([]), context=FitContext()).predict(["", "words"])
    assert_valid(predictions, train, 2)
    np.testing.assert_allclose(predictions["f"], [[0.3, 0.7]] * 2, atol=0.1)


def test_samples_are_one_prompt(kind: str, planted: Planted) -> None:
    """Drawing every sample three times over changes nothing: a prompt weighs the same however often it was sampled."""
    train, validation = planted(40, 8), planted(20, 9)
    texts = planted(10, 10).texts

    def predict(times: int) -> Predictions:
        def repeated(prompts: LabeledPrompts) -> LabeledPrompts:
            labels = {
                name: LabelTable(space=table.space, codes=np.tile(table.codes, (1, times)))
                for name, table in prompts.labels.items()
            }
            return LabeledPrompts(texts=prompts.texts, domains=prompts.domains, labels=labels)

        return trainer(kind).fit(repeated(train), repeated(validation), context=FitContext()).predict(texts)

    once, thrice = predict(1), predict(3)
    for name, values in once.items():
        np.testing.assert_allclose(thrice[name], values, rtol=0, atol=1e-9)


def test_nothing_to_fit(kind: str, planted: Planted) -> None:
    """No prompt or no behavior is the user's mistake."""
    prompts = planted(5, 0)
    with pytest.raises(DataError, match="0 training prompts"):
        trainer(kind).fit(prompts.take([]), prompts, context=FitContext())
    with pytest.raises(DataError, match="0 behaviors"):
        trainer(kind).fit(LabeledPrompts(texts=("a",), domains=("d",), labels={}), prompts, context=FitContext())


def test_fit_leaves_no_litter(
    kind: str, planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without a directory a fit writes nothing to disk and nothing to the terminal."""
    monkeypatch.chdir(tmp_path)
    trainer(kind).fit(planted(20, 0), planted(10, 1), context=FitContext(logger="csv"))
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_import_is_light() -> None:
    """Registered trainers can be listed without loading torch, Lightning or scikit-learn."""
    code = (
        "import sys; from metamodel.registry import component_class, component_names\n"
        "for name in component_names('trainers'): component_class('trainers', name)\n"
        "print(sorted({'torch', 'lightning', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"


def _files(folder: Path) -> dict[str, bytes]:
    """Return the content of each file, those of the members of a composed metamodel too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _edit_json(name: str, change: Callable[[dict[str, object]], object]) -> Callable[[Path], object]:
    def corrupt(folder: Path) -> None:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        change(content)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")

    return corrupt


def _edit_spec(**changes: object) -> Callable[[Path], object]:
    return _edit_json("spec.json", lambda spec: spec.update(changes))


def _replace_tensors(value: float | None) -> Callable[[Path], object]:
    def corrupt(folder: Path) -> None:
        path = folder / "weights.safetensors"
        tensors = load_file(path)
        wrong = {name: tensor[:-1] if value is None else tensor * 0 + value for name, tensor in tensors.items()}
        save_file(
            {name: np.ascontiguousarray(tensor, dtype=tensors[name].dtype) for name, tensor in wrong.items()}, path
        )

    return corrupt


def _calibrate(**values: object) -> Callable[[Path], object]:
    return _edit_json("calibration.json", lambda content: content["behaviors"].update(bigram=values))  # type: ignore[attr-defined] # JSON objects


CORRUPTIONS: dict[str, Callable[[Path], object]] = {
    "no spec": lambda folder: (folder / "spec.json").unlink(),
    "no weights": lambda folder: (folder / "weights.safetensors").unlink(),
    "no calibration": lambda folder: (folder / "calibration.json").unlink(),
    "spec is no JSON": lambda folder: (folder / "spec.json").write_text("{", encoding="utf-8"),
    "spec is no UTF-8": lambda folder: (folder / "spec.json").write_bytes(b"\xff\xfe{}"),
    "spec is a list": lambda folder: (folder / "spec.json").write_text("[]", encoding="utf-8"),
    "spec is deep": lambda folder: (folder / "spec.json").write_text("[" * 100_000, encoding="utf-8"),
    "spec has NaN": lambda folder: (folder / "spec.json").write_text('{"schema_version": NaN}', encoding="utf-8"),
    "spec has a huge number": _edit_spec(schema_version=10**30),
    "another schema": _edit_spec(schema_version=99),
    "another kind": _edit_spec(kind="pickle"),
    "an unknown field": _edit_spec(fields={"surprise": 1}),
    "no behavior": _edit_spec(behaviors={}),
    "another behavior": _edit_json("spec.json", lambda s: s["behaviors"].pop("bigram")),  # type: ignore[attr-defined] # JSON
    "an unknown label space": _edit_spec(behaviors={"bigram": {"kind": "pickle"}}),
    "a huge label space": _edit_spec(behaviors={"bigram": {"kind": "real", "n_bins": 10**12}}),
    "falling edges": _edit_spec(behaviors={"bigram": {"kind": "count", "edges": [3, 1]}}),
    "no training facts": _edit_spec(training={}),
    "a path among documents": _edit_spec(documents=["../spec"]),
    "packages of numbers": _edit_spec(packages={"numpy": 2}),
    "weights are text": lambda folder: (folder / "weights.safetensors").write_text("import os", encoding="utf-8"),
    "no tensor": lambda folder: save_file({}, folder / "weights.safetensors"),
    "tensors of other shapes": _replace_tensors(None),
    "tensors of NaN": _replace_tensors(float("nan")),
    "tensors of zero": _replace_tensors(0.0),
    "tensors of halves": lambda folder: save_file({"prior.0": np.ones(2, np.float16)}, folder / "weights.safetensors"),
    "a cold calibration": _calibrate(temperature=0.0, shrinkage=0.5),
    "a wide calibration": _calibrate(temperature=1.0, shrinkage=1.5),
    "a calibration of text": _calibrate(temperature="1", shrinkage=0.0),
    "calibration of nothing": lambda f: (f / "calibration.json").write_text('{"behaviors": {}}', encoding="utf-8"),
}


@pytest.mark.filterwarnings(
    "ignore:invalid value encountered in cast:RuntimeWarning"
)  # NaN into whole numbers, on purpose
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_untrusted_folders_are_refused(
    kind: str, corruption: str, fitted: dict[str, Metamodel], tmp_path: Path
) -> None:
    """Whatever is wrong with a folder is said in one line, and nothing is predicted from it."""
    fitted[kind].save(tmp_path)
    CORRUPTIONS[corruption](tmp_path)
    with pytest.raises(MetamodelError) as caught:
        component_class("trainers", kind).load(tmp_path)  # type: ignore[attr-defined] # the protocol's method
    assert "\n" not in str(caught.value)
