"""The Ray engine: the same keys and results as the local one, and a killed node costs a retry and no data."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from featurizers.ending import Empty, TokenCount
from metamodel.collect import collect
from metamodel.config import build_config
from metamodel.engines.local import LocalEngine
from metamodel.engines.ray_engine import RayEngine
from metamodel.errors import ConfigError, MetamodelError
from metamodel.primaries.capabilities import requests_for_all
from metamodel.primaries.transformers_model import TransformersModel
from metamodel.primaries.zoo_model import ZooModel
from metamodel.store.run_directory import RunDirectory
from metamodel.text import text_batch
from metamodel.types import Outcome, Prompt, Sampling

PROMPTS = [Prompt.create(f"{number} + {number + 1} =", domain="sums") for number in range(60)]
SAMPLING = Sampling(n_samples=2, max_new_tokens=8)
PRIMARY = ZooModel(model="lstm")
ENGINE = RayEngine(requests_per_task=5)
START_ATTEMPTS = 3

# One group: clusters of two test processes would share Ray's folder and take each other's sessions for their own.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.xdist_group("ray")]


@dataclass(frozen=True, kw_only=True)
class TwoNodes:
    """A Ray cluster on this machine.

    Attributes:
        cluster: Ray's own handle.
        second: The node that may be killed.
    """

    cluster: Any
    second: Any


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoNodes]:
    """Start a cluster of two nodes with a processor each, and connect to it; skips where Ray itself cannot start."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'metamodel[ray]'")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own
        nodes = _started(ray)
        try:
            yield nodes
        finally:
            ray.shutdown()
            nodes.cluster.shutdown()


def _started(ray: ModuleType) -> TwoNodes:
    from ray.cluster_utils import Cluster

    reason = ""
    for _ in range(START_ATTEMPTS):
        cluster = Cluster()
        try:
            cluster.add_node(num_cpus=1, include_dashboard=False)
            second = cluster.add_node(num_cpus=1)
            ray.init(address=cluster.address, log_to_driver=False)
        except Exception as error:  # noqa: BLE001 - Ray raises whatever its processes met; a loaded machine is slow
            reason = f"{type(error).__name__}: {error}"
            ray.shutdown()
            cluster.shutdown()
        else:
            return TwoNodes(cluster=cluster, second=second)
    return pytest.skip(f"Ray could not start two nodes here in {START_ATTEMPTS} attempts: {reason}")


def outputs(rows: list[Outcome]) -> dict[tuple[str, int], object]:
    """Return the outcomes by their place, each place once."""
    found = {(row.prompt_id, row.sample): row for row in rows}
    assert len(found) == len(rows)
    return dict(found)


def test_a_killed_node_costs_a_retry_and_no_data(two_nodes: TwoNodes) -> None:
    """With a node killed midway every sample arrives once, token for token what the local engine draws."""
    rows: list[Outcome] = []
    was_killed = False
    for batch in ENGINE.draw(PRIMARY, requests_for_all(PROMPTS, SAMPLING), SAMPLING):
        rows += batch
        if not was_killed and len(rows) >= 20:
            two_nodes.cluster.remove_node(two_nodes.second)
            was_killed = True
    assert was_killed
    local = LocalEngine().draw(PRIMARY, requests_for_all(PROMPTS, SAMPLING), SAMPLING)
    assert _places_and_tokens(rows) == _places_and_tokens([row for batch in local for row in batch])

    batches = [text_batch([" ", f"text {number}"], n_tokens=[number, None]) for number in range(7)]
    featurizers = {"empty": Empty(), "n_tokens": TokenCount()}
    for ours, theirs in zip(ENGINE.label(featurizers, batches), LocalEngine().label(featurizers, batches), strict=True):
        for name in featurizers:
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_runs_hold_the_same_rows(two_nodes: TwoNodes, tmp_path: Path) -> None:
    """A run collected over a cluster has the keys and texts of a local one, and a user's mistake keeps its words."""
    del two_nodes
    contents = []
    for engine in (ENGINE, LocalEngine()):
        run = RunDirectory.create_or_open(str(tmp_path / type(engine).__name__), config={"seed": 0})
        collect(run, primaries={"lstm": PRIMARY}, prompts=PROMPTS[:12], sampling=SAMPLING, engine=engine)
        contents.append(sorted(map(str, run.read("generations", columns=["key", "text", "sample"]).to_pylist())))
    assert contents[0] == contents[1]
    assert len(contents[0]) == 24
    absent = TransformersModel(model=str(tmp_path / "nowhere"))
    with pytest.raises(MetamodelError, match="nowhere does not exist"):
        list(ENGINE.draw(absent, requests_for_all(PROMPTS[:1], SAMPLING), SAMPLING))


def test_settings_are_checked_before_a_cluster_is_asked() -> None:
    """What makes no sense in a config is refused with its key, without Ray."""
    with pytest.raises(ConfigError, match="engine: n_workers is 0, must be at least 1"):
        build_config({"engine": {"kind": "ray", "n_workers": 0}})
    with pytest.raises(ConfigError, match=r"engine\.kind: .*'local' or 'ray'"):
        build_config({"engine": {"kind": "spark"}})


def _places_and_tokens(rows: list[Outcome]) -> dict[tuple[str, int], object]:
    return {place: getattr(row, "token_ids", None) for place, row in outputs(rows).items()}  # type: ignore[misc]
