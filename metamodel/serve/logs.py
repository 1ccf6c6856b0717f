"""The log: one JSON object a line on stderr, without the text of prompts."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from datetime import UTC, datetime


def log(level: str, event: str, **facts: object) -> None:
    """Write one line; one that cannot be written is lost.

    Args:
        level: info, warning or error.
        event: What happened, as one word.
        facts: What else to say; JSON-ready.
    """
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": level,
        "event": event,
        "process": os.getpid(),
        **facts,
    }
    try:
        sys.stderr.write(json.dumps(line, default=str) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        # A closed stderr must not fail requests.
        return


def places(error: BaseException) -> str:
    """Return where an error came from and what it is, not what it says: that may quote a prompt."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    at = " < ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return f"{type(error).__name__} at {at}"


class JSONLines(logging.Handler):
    """Writes what the HTTP server itself has to say in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        facts: dict[str, object] = {"message": record.getMessage()}
        if record.exc_info and record.exc_info[1] is not None:
            facts["error"] = places(record.exc_info[1])
        log(record.levelname.lower(), "server", **facts)


def send_server_records_here() -> None:
    """Let warnings and errors of the HTTP server come out as JSON lines; its chatter does not come out at all."""
    for name in ("uvicorn", "uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [JSONLines()] if name != "uvicorn.error" else []
        logger.setLevel(logging.WARNING)
        logger.propagate = name == "uvicorn.error"
