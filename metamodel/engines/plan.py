"""Which engine a config asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from metamodel.engines.local import LocalEngine

if TYPE_CHECKING:
    from metamodel.engines.base import Engine


@dataclass(frozen=True, kw_only=True)
class EnginePlan:
    """Where collect and featurize run. It changes no key and no result.

    Attributes:
        kind: "local" is this process, "ray" a Ray cluster. What follows is for "ray".
        address: Of the cluster ("auto", "ray://host:10001"); None starts Ray on this machine unless it runs already.
        n_workers: Tasks at work at the same time.
        cpus_per_task: Processors set aside for a task.
        gpus_per_task: Accelerators set aside for a task.
        requests_per_task: Prompts a task draws: what a lost worker costs at most.
    """

    kind: Literal["local", "ray"] = "local"
    address: str | None = None
    n_workers: int = 2
    cpus_per_task: float = 1.0
    gpus_per_task: float = 0.0
    requests_per_task: int = 64

    def __post_init__(self) -> None:
        """Refuse what the engine would refuse."""
        self.engine()

    def engine(self) -> Engine:
        """Return the engine."""
        if self.kind == "local":
            return LocalEngine()
        from metamodel.engines.ray_engine import RayEngine

        return RayEngine(
            address=self.address,
            n_workers=self.n_workers,
            cpus_per_task=self.cpus_per_task,
            gpus_per_task=self.gpus_per_task,
            requests_per_task=self.requests_per_task,
        )
