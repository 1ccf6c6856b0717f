"""Which pre-screen is in service, and how another takes its place while requests go on."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from metamodel.errors import DataError, MetamodelError
from metamodel.screen.folder import SCREEN_FILE, load_screen
from metamodel.screen.screen import Screen
from metamodel.serve.logs import log, places
from metamodel.serve.work import work_characters

# Read once before service, so that a folder that cannot predict never is in service.
_TRIAL_PROMPTS = ("", "What is the capital of France?", "\x00 \U0001f642 \u4f60\u597d", "word " * 400)
_HASH_CHARACTERS = 16


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A pre-screen in service.

    Attributes:
        screen: The pre-screen.
        version: Hash of its screen.json, which holds the hashes of its other files.
        fingerprint: Hash of what is looked at to see whether there is another one.
        loaded_at: When it was loaded, in UTC.
        behaviors: What it predicts.
        s_per_character: What predicting took a character when it was tried, in seconds.
    """

    screen: Screen
    version: str
    fingerprint: str
    loaded_at: str
    behaviors: tuple[str, ...]
    s_per_character: float


def load(folder: Path) -> Loaded:
    """Return the pre-screen of a folder, after it has predicted a few prompts.

    Raises:
        MetamodelError: The folder holds none that predicts.
    """
    fingerprint = fingerprint_of(folder)
    screen = load_screen(folder)
    if fingerprint_of(folder) != fingerprint:
        raise DataError(f"{folder} changed while it was read")
    # Twice, because a first prediction may have things to load.
    screen(_TRIAL_PROMPTS)
    begin = time.perf_counter()
    screen(_TRIAL_PROMPTS)
    seconds = time.perf_counter() - begin
    return Loaded(
        screen=screen,
        version=screen.version,
        fingerprint=fingerprint,
        loaded_at=datetime.now(UTC).isoformat(timespec="seconds"),
        behaviors=tuple(screen.spaces),
        s_per_character=seconds / work_characters(_TRIAL_PROMPTS),
    )


def fingerprint_of(folder: Path) -> str:
    """Return the hash of a folder's screen.json, or of the archive that holds it.

    Raises:
        DataError: It cannot be read.
    """
    path = folder if folder.is_file() else folder / SCREEN_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{folder} is no pre-screen: {path.name} cannot be read ({error.strerror})") from error
    return hashlib.sha256(content).hexdigest()[:_HASH_CHARACTERS]


class Served:
    """Holds the pre-screen in service; whoever took it keeps predicting with the same one until its request ends."""

    def __init__(self, folder: Path, first: Loaded, *, on_reload: Callable[[bool], None]) -> None:
        """Begin with one that is loaded.

        Args:
            folder: Where the next one will be.
            first: The first one in service.
            on_reload: Called after each attempt with whether another one is in service.
        """
        self.folder, self.current, self._on_reload = folder, first, on_reload
        self.reload_error: str | None = None
        self._reloading = asyncio.Lock()

    async def reload(self) -> None:
        """Put the folder's present content in service; where it does not predict, the old one stays."""
        async with self._reloading:
            try:
                # In a thread: requests go on.
                loaded = await asyncio.to_thread(load, self.folder)
            except MetamodelError as error:
                self._failed(str(error))
                return
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the new folder, the old one serves
                self._failed(f"it cannot predict: {places(error)}")
                return
            self.current, self.reload_error = loaded, None
            log("info", "reloaded", screen=loaded.version, behaviors=len(loaded.behaviors))
            self._on_reload(True)

    async def watch(self, every_s: float) -> None:
        """Reload whenever screen.json says something else than that of the pre-screen in service; never ends."""
        while True:
            await asyncio.sleep(every_s)
            try:
                fingerprint = await asyncio.to_thread(fingerprint_of, self.folder)
            except DataError as error:
                self._failed(str(error))
                continue
            if fingerprint != self.current.fingerprint:
                await self.reload()
            else:
                self.reload_error = None

    def _failed(self, reason: str) -> None:
        # Said once: a watched folder that stays broken is tried again and again.
        if reason != self.reload_error:
            log("error", "reload_failed", reason=reason, screen=self.current.version)
            self._on_reload(False)
        self.reload_error = reason
