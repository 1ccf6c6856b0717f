"""Fits of several processes, and fits that were killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

# One program makes several fits, each in a child of its own that may be killed. No guard of __main__: what a fit of
# several processes needs of the user's program must be nothing.
SCRIPT = """
import importlib.util, json, os, signal, sys
from pathlib import Path
from metamodel.errors import MetamodelError
from metamodel.protocols import FitContext
from trainers.bag import Bag
from trainers.fitting import run_lightning
from trainers.fitting.checkpoints import SaveEachPass

spec = importlib.util.spec_from_file_location("planted", sys.argv[1])
planted = importlib.util.module_from_spec(spec)
spec.loader.exec_module(planted)
save = SaveEachPass.on_train_epoch_end

def fit(folder, options, passes_before_kill=0, logger="csv"):
    def save_and_die(self, trainer, module):
        save(self, trainer, module)
        if trainer.current_epoch + 1 == passes_before_kill:
            os.kill(os.getpid(), signal.SIGKILL)
    SaveEachPass.on_train_epoch_end = save_and_die
    context = FitContext(directory=Path(folder) / "logs", logger=logger, seed=2)
    try:
        fitted = Bag(n_buckets=512, **options).fit(planted._planted(103, 0), planted._planted(31, 1), context=context)
    except MetamodelError as error:
        Path(folder, "error").write_text(str(error))
    else:
        fitted.save(Path(folder))

statuses = []
for job in json.loads(sys.argv[2]):
    child = os.fork()
    if not child:
        fit(**job)
        sys.stdout.flush()
        os._exit(0)
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(statuses))
"""


def fits(*jobs: dict[str, object]) -> list[int]:
    """Make fits one after another in another program; return the exit status of each."""
    for job in jobs:
        Path(str(job["folder"])).mkdir(exist_ok=True)
    conftest = Path(__file__).with_name("conftest.py")
    command = [sys.executable, "-c", SCRIPT, str(conftest), json.dumps(jobs)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    statuses: list[int] = json.loads(finished.stdout.splitlines()[-1])
    assert set(statuses) <= {0, -signal.SIGKILL}, finished.stderr
    return statuses


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Two processes on the CPU that average gradients end with one's weights to 1e-4 and its bits to 1e-5.

    Their sums are rounded in another order. Without dropout, whose draws differ between processes; batches of 17 leave
    one prompt over for the last one.
    """
    options = {"dropout": 0.0, "batch_size": 17, "max_epochs": 4, "accumulate_grad_batches": 2}
    fits(
        {"folder": str(tmp_path / "one"), "options": options},
        {"folder": str(tmp_path / "two"), "options": options | {"strategy": "ddp", "devices": 2}},
    )
    one, two = (load_file(tmp_path / name / "weights.safetensors") for name in ("one", "two"))
    assert list(one) == list(two)
    for name, tensor in one.items():
        np.testing.assert_allclose(two[name], tensor, rtol=0, atol=1e-4, err_msg=name)
    logged = [
        np.genfromtxt(tmp_path / name / "logs" / "metrics.csv", delimiter=",", names=True) for name in ("one", "two")
    ]
    for column in ("train_bits", "validation_bits"):
        values = [rows[column][~np.isnan(rows[column])] for rows in logged]
        assert len(values[0]) == 4
        np.testing.assert_allclose(values[1], values[0], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_group_dro_of_two_processes(tmp_path: Path) -> None:
    """Domains' weights and the adversary see the batch of all processes, so that two train as one there too."""
    options = {"dropout": 0.0, "batch_size": 40, "max_epochs": 2, "group_dro": 0.5, "domain_adversarial": 0.3}
    fits(
        {"folder": str(tmp_path / "one"), "options": options},
        {"folder": str(tmp_path / "two"), "options": options | {"strategy": "ddp", "devices": 2}},
    )
    one, two = (load_file(tmp_path / name / "weights.safetensors") for name in ("one", "two"))
    for name, tensor in one.items():
        np.testing.assert_allclose(two[name], tensor, rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_a_process_that_fails(tmp_path: Path) -> None:
    """What goes wrong in another process is said as in one: no traceback of a launcher."""
    options = {"learning_rate": 1e30, "gradient_clip_val": 0.0, "batch_size": 16}
    for number, several in enumerate(({}, {"strategy": "ddp", "devices": 2})):
        folder = tmp_path / str(number)
        fits({"folder": str(folder), "options": options | several})
        message = (folder / "error").read_text(encoding="utf-8")
        assert message.startswith("the loss of pass 1 became infinite or no number"), message
        assert "lower learning_rate (now 1e+30)" in message


@pytest.mark.slow
@pytest.mark.parametrize("passes", [2, 5])
def test_a_killed_fit_goes_on(passes: int, tmp_path: Path) -> None:
    """A fit that was killed in the middle or after its last pass ends with the weights of one that was not.

    The checkpoint is gone afterwards, and what was logged before the kill is kept beside the rest.
    """
    options = {"max_epochs": 5}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    statuses = fits(
        {"folder": str(whole), "options": options},
        {"folder": str(killed), "options": options, "passes_before_kill": passes},
    )
    assert statuses == [0, -signal.SIGKILL]
    assert len(list((killed / "logs").glob("*.ckpt"))) == 1
    assert fits({"folder": str(killed), "options": options}) == [0]
    assert (killed / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()
    assert (killed / "logs" / "metrics-0.csv").exists()
    assert not list((killed / "logs").glob("*.ckpt"))


@pytest.mark.slow
def test_checkpoints_that_do_not_fit(tmp_path: Path) -> None:
    """A checkpoint of other settings is not used, and one that cannot be read is not in the way."""
    options, others = {"max_epochs": 3}, {"max_epochs": 3, "weight_decay": 0.5}
    whole, killed, damaged = (tmp_path / name for name in ("whole", "killed", "damaged"))
    fits(
        {"folder": str(whole), "options": others},
        {"folder": str(killed), "options": options, "passes_before_kill": 2},
        {"folder": str(killed), "options": others},
        {"folder": str(damaged), "options": others, "passes_before_kill": 2},
    )
    (checkpoint,) = (damaged / "logs").glob("*.ckpt")
    checkpoint.write_bytes(b"half a checkpoint")
    fits({"folder": str(damaged), "options": others})
    weights = {(folder / "weights.safetensors").read_bytes() for folder in (whole, killed, damaged)}
    assert len(weights) == 1
