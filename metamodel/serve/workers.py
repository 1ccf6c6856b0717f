"""Several worker processes on one socket: one that dies is replaced."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable

from prometheus_client.multiprocess import mark_process_dead
from uvicorn import Config
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from metamodel.serve.logs import log, send_server_records_here


class Workers(Multiprocess):
    """Uvicorn's supervisor, which restarts workers that die or hang; reloading is left to the workers themselves."""

    def __init__(self, config: Config, listener: socket.socket, say_ready: Callable[[], None]) -> None:
        """Get ready to start workers that share `listener`."""
        send_server_records_here()
        super().__init__(config, sockets=[listener])
        self._say_ready = say_ready
        self._is_ready = False

    def keep_subprocess_alive(self) -> None:
        """Replace workers that died, and say when all are ready for the first time."""
        before = list(self.processes)
        super().keep_subprocess_alive()
        for old, new in zip(before, self.processes, strict=False):
            if old is not new and old.pid is not None:
                _forget(old)
        if not self._is_ready and all(process.is_ready() for process in self.processes):
            self._is_ready = True
            self._say_ready()

    def handle_hup(self) -> None:
        """Have every worker load the folder again; none has to stop for it."""
        for process in self.processes:
            if process.pid is not None and process.process.is_alive():
                os.kill(process.pid, signal.SIGHUP)


def _forget(process: Process) -> None:
    """Take a dead worker's gauges out of the metrics; its counts stay."""
    log("error", "worker_died", worker=process.pid, exit_code=process.exitcode)
    mark_process_dead(process.pid)  # type: ignore[no-untyped-call] # the library leaves it without types
