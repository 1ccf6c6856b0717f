"""A server in a process of its own, for tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

START_S = 120
STOP_S = 60


@dataclass
class RunningServer:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    lines: list[dict[str, object]] = field(default_factory=list)
    is_read: bool = False

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(str(self.wait_for("ready")["port"]))

    def wait_for(self, event: str, *, n: int = 1) -> dict[str, object]:
        """Return the n-th line of the log with an event."""
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            was_read = self.is_read
            found = [line for line in list(self.lines) if line.get("event") == event]
            if len(found) >= n:
                return found[n - 1]
            if was_read:
                break
            time.sleep(0.02)
        raise AssertionError(f"no {event} in the log: {self.lines[-5:]}")

    def resident_bytes(self) -> int:
        """Return its resident memory."""
        text = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii")
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)


def read_log(server: RunningServer) -> None:
    """Keep what a server writes to stderr, line by line, until it ends."""
    stream = server.process.stderr
    if stream is None:
        raise AssertionError("the server was started without a pipe")
    with stream:
        for line in stream:
            try:
                server.lines.append(json.loads(line))
            except ValueError:
                server.lines.append({"event": "no_json", "text": line})
    server.is_read = True
