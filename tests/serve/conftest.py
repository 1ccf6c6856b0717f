"""Pre-screens to serve, and servers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from served_process import STOP_S, RunningServer, read_log

from metamodel.serve.settings import KEY_VARIABLE


@pytest.fixture(scope="session")
def bag_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small bag; "red" stops a prompt and "blue" lets it through."""
    from screen_folders import screen_folder

    return screen_folder(tmp_path_factory.mktemp("served") / "bag")


@pytest.fixture
def start_server() -> Iterator[Callable[..., RunningServer]]:
    """Return a function that serves a folder in a process of its own until the test ends."""
    servers: list[RunningServer] = []

    def start(folder: Path, *arguments: str) -> RunningServer:
        environment = {name: value for name, value in os.environ.items() if name != KEY_VARIABLE}
        code = "from metamodel.cli import main; main()"
        process = subprocess.Popen(
            [sys.executable, "-c", code, "serve", str(folder), "--port", "0", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        server = RunningServer(process)
        servers.append(server)
        threading.Thread(target=read_log, args=(server,), daemon=True).start()
        server.wait_for("ready")
        return server

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.terminate()
            try:
                server.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()
