"""The engine that works over a Ray cluster: tasks that Ray runs again elsewhere when a worker or a node dies.

Tasks and not actors: an actor whose node is gone waits for room, and its work with it; a task goes to whoever is left.
A worker process loads a primary model once and keeps it for its later tasks.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from metamodel.engines.local import LocalEngine
from metamodel.errors import MetamodelError
from metamodel.primaries.capabilities import DrawRequest
from metamodel.protocols import Featurizer, PrimaryModel
from metamodel.types import FloatArray, GenerationBatch, Outcome, Sampling

if TYPE_CHECKING:
    from types import ModuleType

# Tasks waiting beside those at work, so that no worker waits for the driver.
_TASKS_AHEAD = 2


@dataclass(frozen=True, kw_only=True)
class RayEngine:
    """Runs components over a Ray cluster, one task a piece of work; this process writes what comes back.

    Attributes:
        address: Of the cluster ("auto", "ray://host:10001"); None starts Ray on this machine unless it runs already.
        n_workers: Tasks at work at the same time.
        cpus_per_task: Processors that Ray sets aside for a task.
        gpus_per_task: Accelerators that Ray sets aside for a task.
        requests_per_task: Prompts a task draws: what a lost worker costs at most.
    """

    address: str | None = None
    n_workers: int = 2
    cpus_per_task: float = 1.0
    gpus_per_task: float = 0.0
    requests_per_task: int = 64

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        problems = [
            f"{name} is {getattr(self, name)}, must be at least 1"
            for name in ("n_workers", "requests_per_task")
            if getattr(self, name) < 1
        ]
        if self.cpus_per_task < 0 or self.gpus_per_task < 0:
            problems.append("cpus_per_task and gpus_per_task must be 0 or more")
        if problems:
            raise ValueError("; ".join(problems))

    def draw(
        self, primary: PrimaryModel, requests: Iterable[DrawRequest], sampling: Sampling
    ) -> Iterator[list[Outcome]]:
        """Yield the outcomes of each task as it ends.

        Raises:
            MetamodelError: Ray is not installed, there is no cluster, or the primary model raises it.
        """
        ray = _connect(self.address)
        task, shared = self._task(ray, _draw), ray.put(primary)
        waiting = _in_pieces(requests, self.requests_per_task)
        running = {task.remote(shared, piece, sampling) for piece in islice(waiting, self._n_tasks)}
        while running:
            done, running = _wait(ray, running)
            for reference in done:
                running |= {task.remote(shared, piece, sampling) for piece in islice(waiting, 1)}
                yield _result(ray, reference)

    def label(
        self, featurizers: Mapping[str, Featurizer], batches: Iterable[GenerationBatch]
    ) -> Iterator[dict[str, FloatArray]]:
        """Yield the labels of each batch by name of the featurizer, in the order of the batches.

        Raises:
            MetamodelError: Ray is not installed, there is no cluster, or a featurizer raises it.
        """
        ray = _connect(self.address)
        task, shared = self._task(ray, _label), ray.put(dict(featurizers))
        waiting = iter(batches)
        running = deque(task.remote(shared, batch) for batch in islice(waiting, self._n_tasks))
        while running:
            labels: dict[str, FloatArray] = _result(ray, running.popleft())
            running.extend(task.remote(shared, batch) for batch in islice(waiting, 1))
            yield labels

    @property
    def _n_tasks(self) -> int:
        return self.n_workers + _TASKS_AHEAD

    def _task(self, ray: ModuleType, function: Callable[..., object]) -> Any:  # noqa: ANN401 - Ray's own wrapper
        # Only lost workers are retried: what a component raises, it would raise again.
        return ray.remote(
            num_cpus=self.cpus_per_task, num_gpus=self.gpus_per_task, max_retries=-1, scheduling_strategy="SPREAD"
        )(function)


def _draw(primary: PrimaryModel, requests: Sequence[DrawRequest], sampling: Sampling) -> list[Outcome]:
    return [outcome for batch in LocalEngine().draw(primary, requests, sampling) for outcome in batch]


def _label(featurizers: Mapping[str, Featurizer], batch: GenerationBatch) -> dict[str, FloatArray]:
    return next(LocalEngine().label(featurizers, [batch]))


def _connect(address: str | None) -> ModuleType:
    try:
        import ray
    except ImportError as error:
        raise MetamodelError("engine ray needs Ray: pip install 'metamodel[ray]'") from error
    if not ray.is_initialized():
        try:
            ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise MetamodelError(
                f"engine ray finds no cluster at {address!r} ({error}): start one with `ray start --head`, or leave "
                "address out"
            ) from error
    module: ModuleType = ray
    return module


def _wait(ray: ModuleType, running: set[Any]) -> tuple[list[Any], set[Any]]:
    done, left = ray.wait(list(running), num_returns=1)
    return done, set(left)


def _result(ray: ModuleType, reference: Any) -> Any:  # noqa: ANN401 - whatever the task returns
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, MetamodelError):
            raise error.cause from error
        raise


def _in_pieces(requests: Iterable[DrawRequest], size: int) -> Iterator[list[DrawRequest]]:
    waiting = iter(requests)
    while piece := list(islice(waiting, size)):
        yield piece
