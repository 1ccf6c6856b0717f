"""Training any network: batches, options, loggers, what is kept and what is refused."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from metamodel.errors import MetamodelError
from metamodel.labels import Binary, Categorical, LabeledPrompts, LabelTable
from metamodel.protocols import FitContext
from metamodel.types import FloatArray, IntArray
from trainers.artifacts.reading import component_from_fields
from trainers.bag import Bag
from trainers.fitting.batches import Batches, Examples, domain_numbers, weighted_targets
from trainers.fitting.checkpoints import KeepBest
from trainers.fitting.network_options import NetworkOptions
from trainers.fitting.network_training import NetworkTraining, parameter_groups, prompt_bits
from trainers.fitting.run_lightning import network_tensors, started_here, trained_network
from trainers.networks.network import Network
from trainers.networks.prior_heads import PriorHeads

Planted = Callable[..., LabeledPrompts]
QUICK = NetworkOptions(learning_rate=0.05, max_epochs=3, batch_size=16)
SMALL = Bag(max_epochs=3, n_buckets=1024)


class Line(Network):
    """The least network: hidden units that are a linear function of one number."""

    def __init__(self, priors: list[list[float]], start: float = 1.0) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 2)
        nn.init.constant_(self.layer.weight, start)
        self.heads = PriorHeads(2, priors)

    def encode(self, numbers: Tensor) -> Tensor:  # type: ignore[override] # its own inputs
        """Return [n, 2]."""
        hidden: Tensor = self.layer(numbers)
        return hidden


@dataclass(frozen=True)
class Numbers:
    """One number a prompt."""

    values: FloatArray

    def __len__(self) -> int:
        """Return the number of prompts."""
        return len(self.values)

    def rows(self, index: IntArray) -> tuple[object, ...]:
        """Return them as [b, 1]."""
        return (torch.from_numpy(self.values[index].astype(np.float32))[:, None],)


def signs(n: int, seed: int) -> Examples:
    """Return prompts whose label is the sign of their number; three in four have no label of the second behavior."""
    values = np.random.default_rng(seed).normal(size=n)
    positive = (values > 0).astype(np.int64)[:, None]
    rare = np.where(np.arange(n)[:, None] % 4 == 0, positive, -1)
    labels = {"sign": LabelTable(space=Binary(), codes=positive), "rare": LabelTable(space=Binary(), codes=rare)}
    domains = tuple("left" if value < 0 else "right" for value in values)
    return Examples(Numbers(values), LabeledPrompts(texts=tuple(map(str, values)), domains=domains, labels=labels))


def fair() -> Line:
    """Return a network that starts undecided about both behaviors."""
    return Line([[0.5, 0.5], [0.5, 0.5]])


def test_any_network_learns() -> None:
    """A network of its own inputs is trained on both behaviors, and the passes that its weights took are counted."""
    options = NetworkOptions(learning_rate=0.1, max_epochs=20, batch_size=16)
    trained = trained_network(fair, signs(200, 0), signs(50, 1), options, FitContext())
    test = signs(100, 2)
    with torch.no_grad():
        sign, rare = trained.network(*test.inputs.rows(np.arange(100)))
    codes = torch.from_numpy(test.prompts.labels["sign"].codes[:, 0])
    for part in (sign, rare):
        assert (part.argmax(dim=1) == codes).float().mean() > 0.95
    assert 1 <= trained.n_passes <= 20
    assert set(network_tensors(trained.network)) == {
        "network.layer.weight",
        "network.layer.bias",
        "network.heads.weight",
        "network.heads.bias",
    }


def test_bits_match_the_definition() -> None:
    """The loss is the mean over behaviors of each one's mean bits over its own labeled prompts, whatever is missing."""
    examples = signs(37, 3)
    targets = weighted_targets(examples.prompts, ["sign", "rare"], [2, 2])
    logits = [torch.randn(37, 2).log_softmax(dim=1) for _ in range(2)]
    loss = float(prompt_bits(logits, torch.from_numpy(targets)).mean())
    by_behavior = []
    for part, table in zip(logits, examples.prompts.labels.values(), strict=True):
        labeled = np.flatnonzero(table.codes[:, 0] >= 0)
        chosen = part[labeled, table.codes[labeled, 0]]
        by_behavior.append(-float(chosen.mean()) / math.log(2))
    assert loss == pytest.approx(np.mean(by_behavior), rel=1e-5)


def test_absent_behaviors_have_no_targets() -> None:
    """A behavior that validation does not have, and a domain's number, cost nothing and follow names."""
    prompts = LabeledPrompts(
        texts=("a", "b"), domains=("z", "y"), labels={"f": LabelTable(space=Binary(), codes=np.array([[1], [-1]]))}
    )
    targets = weighted_targets(prompts, ["f", "g"], [2, 3])
    np.testing.assert_array_equal(targets, [[0, 2, 0, 0, 0], [0, 0, 0, 0, 0]])
    assert domain_numbers(prompts).tolist() == [1, 0]


def test_batches_cover_every_prompt() -> None:
    """A pass holds each prompt once, two passes differ in order, and a pass is the same whatever passes ran before."""
    values, targets = Numbers(np.arange(10.0)), np.arange(10.0)[:, None]
    batches, again = (Batches(values, targets, np.zeros(10), batch_size=4, seed=0) for _ in range(2))
    passes = []
    for number in range(2):
        batches.set_pass(number)
        passes.append(torch.cat([batch.targets for batch in batches]).ravel().tolist())
    assert len(batches) == 3
    assert [sorted(numbers) for numbers in passes] == [list(range(10))] * 2
    assert passes[0] != passes[1]
    again.set_pass(1)
    assert torch.cat([batch.targets for batch in again]).ravel().tolist() == passes[1]
    assert [batch.n_prompts for batch in again] == [4, 4, 2]


def test_processes_share_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes together see each prompt of a batch once; a process without one computes a row that counts nothing."""
    values, targets = Numbers(np.arange(9.0)), np.arange(1.0, 10.0)[:, None]
    batches = Batches(values, targets, np.zeros(9), batch_size=4, seed=0)
    whole = [sorted(batch.targets.ravel().tolist()) for batch in batches]
    parts = []
    for rank in range(2):
        monkeypatch.setattr("trainers.fitting.batches.process_rank", lambda rank=rank: (rank, 2))
        parts.append(list(batches))
    joined = [
        sorted(torch.cat([left.targets, right.targets]).ravel().tolist()) for left, right in zip(*parts, strict=True)
    ]
    assert joined == [*whole[:2], [0.0, *whole[2]]]
    assert [batch.n_prompts for batch in parts[1]] == [4, 4, 1]


def test_best_weights_are_kept() -> None:
    """Weights of the pass with the fewest validation bits come back, not the last ones; frozen ones are not copied."""
    network = fair()
    network.layer.bias.requires_grad_(False)
    module, keeper = NetworkTraining(network, QUICK), KeepBest()

    class Passes:
        callback_metrics: dict[str, float]
        current_epoch = 0

    for number, (bits_of_pass, value) in enumerate(((0.9, 1.0), (0.5, 2.0), (math.nan, 3.0), (0.7, 4.0))):
        Passes.callback_metrics, Passes.current_epoch = {"validation_bits": bits_of_pass}, number
        nn.init.constant_(network.layer.weight, value)
        keeper.on_validation_end(Passes, module)  # type: ignore[arg-type] # all that the callback reads of a trainer
    keeper.on_fit_end(Passes, module)  # type: ignore[arg-type] # the same
    assert (network.layer.weight == 2.0).all()
    assert int(module.best_pass) == 2
    assert "network.layer.bias" not in keeper.state_dict()["weights"]


def test_frozen_parameters_stay() -> None:
    """What needs no gradient is not trained, and factors of the learning rate reach the parameters that they name."""
    network = fair()
    network.layer.weight.requires_grad_(False)
    groups = parameter_groups(NetworkTraining(network, QUICK), 0.1, {"layer.": 0.5})
    assert [(group["lr"], len(group["params"])) for group in groups] == [(0.05, 1), (0.1, 2)]  # type: ignore[arg-type] # lists

    def build() -> Line:
        built = fair()
        built.layer.weight.requires_grad_(False)
        return built

    trained = trained_network(build, signs(50, 0), None, QUICK, FitContext()).network
    assert (trained.layer.weight == 1.0).all()
    assert (trained.layer.bias != build().layer.bias).any()


@pytest.mark.filterwarnings("ignore:.*overflow.*:RuntimeWarning")
def test_a_loss_that_is_no_number() -> None:
    """Where the loss stops being a number the fit says so, in which pass, and what to change."""
    with pytest.raises(MetamodelError, match=r"loss of pass 1 became .*: lower learning_rate \(now 0.05\)"):
        trained_network(lambda: Line([[0.5, 0.5]] * 2, math.nan), signs(30, 0), None, QUICK, FitContext())
    assert torch.get_num_threads() >= 1


def test_weights_that_are_no_numbers() -> None:
    """A last step that ruins the weights is said too, though no loss was computed after it."""
    once = NetworkOptions(learning_rate=3e38, max_epochs=1, weight_decay=1e30)
    with pytest.raises(MetamodelError, match="the weights became infinite or no number: lower learning_rate"):
        trained_network(fair, signs(9, 0), None, once, FitContext())


def test_nothing_labeled_leaves_the_network() -> None:
    """Without any label the network stays as it was built."""
    examples = signs(5, 0)
    table = LabelTable(space=Categorical(classes=("a", "b")), codes=np.full((5, 1), -1))
    unlabeled = LabeledPrompts(texts=examples.prompts.texts, domains=examples.prompts.domains, labels={"f": table})
    build = lambda: Line([[0.5, 0.5]])  # noqa: E731 - one line
    trained = trained_network(build, Examples(examples.inputs, unlabeled), None, QUICK, FitContext())
    assert trained.n_passes == 0
    assert (trained.network.layer.weight == 1.0).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"accumulate_grad_batches": 3},
        {"gradient_clip_val": 0.001},
        {"precision": "bf16-mixed"},
        {"precision": "bf16-true"},
        {"precision": "64-true"},
        {"group_dro": 0.1},
        {"domain_adversarial": 0.5},
        {"batch_size": 1000},
    ],
)
def test_options_reach_training(changes: dict[str, object], planted: Planted) -> None:
    """Each option of Lightning or of the loss changes what is learned, and predictions stay distributions."""
    train, validation = planted(40, 0), planted(20, 1)
    usual: dict[str, object] = {"max_epochs": 2, "n_buckets": 256, "dropout": 0.0, "batch_size": 20}
    plain, changed = (
        Bag(**(usual | options)).fit(train, validation, context=FitContext())  # type: ignore[arg-type] # values differ in type
        for options in ({}, changes)
    )
    left, right = (one.artifact.weights["network.hidden.weight"] for one in (plain, changed))
    assert not np.array_equal(left, right)
    for values in changed.predict(["a king", ""]).values():
        np.testing.assert_allclose(values.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"accelerator": "tpu"}, "accelerator tpu, devices 1"),
        ({"strategy": "dpp"}, "strategy dpp"),
        ({"strategy": "fsdp", "devices": 2}, "must be started from outside"),
    ],
)
def test_what_lightning_cannot_do(options: dict[str, object], problem: str) -> None:
    """A device or strategy that is not there is the user's mistake, in one line."""
    chosen = NetworkOptions(**options)  # type: ignore[arg-type] # values differ in type
    with pytest.raises(MetamodelError, match=problem) as caught:
        trained_network(fair, signs(9, 0), None, chosen, FitContext())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("strategy", "devices", "environment", "expected"),
    [
        ("auto", 1, {}, "auto"),
        ("auto", 2, {}, "ddp_fork"),
        ("ddp", 2, {}, "ddp_fork"),
        ("ddp_find_unused_parameters_true", 2, {}, "ddp_fork_find_unused_parameters_true"),
        ("ddp_spawn", 2, {}, "ddp_spawn"),
        ("ddp", 2, {"TORCHELASTIC_RUN_ID": "1", "LOCAL_RANK": "0", "GROUP_RANK": "0"}, "ddp"),
    ],
)
def test_how_processes_start(
    strategy: str, devices: int, environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No strategy starts the user's command again, and processes that are there already are used."""
    monkeypatch.setattr("torch.distributed.is_torchelastic_launched", lambda: bool(environment))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert started_here(NetworkOptions(strategy=strategy, devices=devices)) == expected


def test_options_survive_saving(planted: Planted, tmp_path: Path) -> None:
    """Lightning's options are fields like others: stored with the metamodel and read back."""
    trainer = Bag(max_epochs=1, n_buckets=64, accumulate_grad_batches=2, precision="bf16-mixed", group_dro=0.01)
    trainer.fit(planted(9, 0), planted(4, 1), context=FitContext()).save(tmp_path)
    fields = Bag.load(tmp_path).artifact.fields
    assert component_from_fields(Bag, fields) == trainer
    assert set(asdict(NetworkOptions())) <= set(fields)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"patience": 0}, "patience is 0"),
        ({"devices": 0}, "devices is 0"),
        ({"accelerator": "abacus"}, "accelerator is 'abacus', must be one of auto, cpu"),
        ({"precision": "8"}, "precision is '8', must be one of 32-true"),
        ({"gradient_clip_val": -1.0}, "gradient_clip_val is -1.0"),
        ({"group_dro": -0.1}, "group_dro is -0.1"),
    ],
)
def test_meaningless_options(options: dict[str, object], problem: str) -> None:
    """An option out of range is refused with its value."""
    with pytest.raises(ValueError, match=problem):
        NetworkOptions(**options)  # type: ignore[arg-type] # values differ in type


def test_csv_logger(planted: Planted, tmp_path: Path) -> None:
    """Bits of each pass are logged to a file, a second fit into the same folder starts it anew, no checkpoint stays."""
    for _ in range(2):
        SMALL.fit(planted(40, 0), planted(20, 1), context=FitContext(directory=tmp_path / "new", logger="csv"))
    with (tmp_path / "new" / "metrics.csv").open(encoding="utf-8") as file:
        logged = list(csv.DictReader(file))
    assert sum(bool(row["validation_bits"]) for row in logged) == 3
    assert sum(bool(row["train_bits"]) for row in logged) == 3
    assert {path.name for path in tmp_path.rglob("*")} <= {"new", "logs", "metrics.csv", "hparams.yaml"}


def test_wandb_logger(planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline, Weights & Biases writes its run below the given folder and nowhere else."""
    working = tmp_path / "working"
    working.mkdir()
    monkeypatch.chdir(working)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    SMALL.fit(planted(40, 0), planted(20, 1), context=FitContext(directory=tmp_path / "logs", logger="wandb"))
    assert list((tmp_path / "logs").rglob("*.wandb"))
    assert list(working.iterdir()) == []


@pytest.mark.parametrize(("progress", "drawn"), [(True, True), (False, False)])
def test_progress_bar(progress: bool, drawn: bool, planted: Planted, capfd: pytest.CaptureFixture[str]) -> None:  # noqa: FBT001 - parameters of a test
    """A progress bar is drawn where asked for."""
    SMALL.fit(planted(20, 0), planted(10, 1), context=FitContext(progress=progress))
    captured = capfd.readouterr()
    assert ("Epoch" in captured.out + captured.err) is drawn


def test_loggers_need_a_directory(planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a directory no logger writes anything, not even below the working directory."""
    monkeypatch.chdir(tmp_path)
    loggers: tuple[Literal["csv", "wandb"], ...] = ("csv", "wandb")
    for logger in loggers:
        SMALL.fit(planted(20, 0), planted(10, 1), context=FitContext(logger=logger))
    assert list(tmp_path.iterdir()) == []
