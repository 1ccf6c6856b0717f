"""What `metamodel serve` was told, checked."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from metamodel.errors import MetamodelError

KEY_VARIABLE = "METAMODEL_SERVE_KEY"
# Prometheus' client library looks for it when it is first imported: then several processes count together.
SHARED_METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_MOST_PORT = 65_535


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """How a pre-screen is served.

    Attributes:
        folder: Folder of an exported pre-screen.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one and logs it.
        workers: Processes that answer.
        max_batch: Most prompts in one request.
        max_prompt_characters: Most characters in one prompt.
        max_body_bytes: Most bytes in one request's body.
        max_explained: Most prompts in one request that asks which words mattered.
        queue: Most requests of a worker that wait for their prediction at once; the next one is told to come back.
        max_connections: Most open connections of a worker.
        timeout_s: Longest that a request waits for its prediction, in seconds.
        receive_s: Longest that a client may take to send one request, in seconds.
        keep_alive_s: Longest that a connection without a request stays open, in seconds.
        shutdown_s: Longest that a stopping worker waits for what it accepted, in seconds.
        log_prompts: Whether the log holds the text of prompts.
        log_requests: Whether the log has a line for each request that was answered as asked.
        reload: Whether a changed folder is loaded without being told to by SIGHUP.
        reload_every_s: How often `reload` looks, in seconds.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 8765
    workers: int = 1
    max_batch: int = 256
    max_prompt_characters: int = 100_000
    max_body_bytes: int = 4 * 2**20
    max_explained: int = 8
    queue: int = 256
    max_connections: int = 512
    timeout_s: float = 10.0
    receive_s: float = 10.0
    keep_alive_s: float = 75.0
    shutdown_s: float = 30.0
    log_prompts: bool = False
    log_requests: bool = True
    reload: bool = False
    reload_every_s: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values that mean nothing.

        Raises:
            MetamodelError: One does.
        """
        if not 0 <= self.port <= _MOST_PORT:
            raise MetamodelError(f"port is {self.port}, must be from 0 to {_MOST_PORT}")
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is int and field.name != "port" and value < 1:
                raise MetamodelError(f"{field.name} is {value}, must be at least 1")
            if type(value) is float and not 0 < value < float("inf"):
                raise MetamodelError(f"{field.name} is {value}, must be above 0 and finite")
