"""Whether the server keeps to its own OpenAPI schema."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from served_process import RunningServer


@pytest.mark.slow
def test_schemathesis_finds_nothing(
    bag_folder: Path, start_server: Callable[..., RunningServer], tmp_path: Path
) -> None:
    """What the schema says may be sent is answered as it says, and what it does not say is refused."""
    server = start_server(bag_folder, "--quiet")
    url = f"http://127.0.0.1:{server.port}/openapi.json"
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", url, "--max-examples", "60", "--seed", "0"]
    finished = subprocess.run([*command, "--no-color"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-2000:]
