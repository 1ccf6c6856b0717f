"""A pre-screen on disk: screen.json, and the metamodel it predicts with in a folder of its own.

    screen.json  familiarity.safetensors  README.md  metamodel/{spec.json,weights.safetensors,...}

A folder, or a zip archive of one, may come from anyone: nothing in it is executed, and what it says is checked before
it is used. screen.json lists every file with its size and content hash; no other file is read.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from metamodel.errors import DataError
from metamodel.labels import LabelSpace, label_space_to_dict
from metamodel.metamodels import load_metamodel
from metamodel.protocols import Metamodel
from metamodel.screen.archive import MOST_BYTES, MOST_FILES, unpack
from metamodel.screen.checks import label_spaces, mapping, plain_path, read_json, require_self_contained
from metamodel.screen.rules import SCHEMA_VERSION, ScreenRule, rules_from_json
from metamodel.screen.screen import KnowsTrainingPrompts, Screen

SCREEN_FILE = "screen.json"
METAMODEL_FOLDER = "metamodel"
FAMILIARITY_FILE = "familiarity.safetensors"
CARD_FILE = "README.md"
SPEC_FILE = "spec.json"
_KEYS = {"schema_version", "created_utc", "git_commit", "packages", "source", "behaviors", "rules", "files"}
_HASH_CHARACTERS = 64
_PIECE_BYTES = 2**20


@dataclass(frozen=True, kw_only=True)
class ListedFile:
    """What screen.json says of a file.

    Attributes:
        sha256: Content hash, 64 hexadecimal digits.
        n_bytes: Size.
    """

    sha256: str
    n_bytes: int


@dataclass(frozen=True, kw_only=True)
class ScreenContent:
    """What screen.json says.

    Attributes:
        created_utc: When it was exported, ISO 8601.
        source: Where it comes from: run, fit, primary model, as `metamodel export` told.
        spaces: Label space of each behavior.
        rules: What it decides by.
        files: The other files, by their path below the folder.
        version: First 16 hexadecimal digits of screen.json's content hash: it names every other file's.
    """

    created_utc: str
    source: Mapping[str, object]
    spaces: Mapping[str, LabelSpace]
    rules: tuple[ScreenRule, ...]
    files: Mapping[str, ListedFile]
    version: str


def load_screen(path: str | Path) -> Screen:
    """Return the pre-screen that `metamodel export` wrote: a folder, or a zip archive of one.

    Raises:
        DataError: There is none, it was changed since, or its content does not fit together.
        UnknownNameError: No installed trainer has the metamodel's kind.
    """
    place = Path(path)
    if not place.is_file():
        return _load_folder(place)
    scratch = Path(tempfile.mkdtemp(prefix="metamodel-screen-"))
    try:
        unpack(place, scratch)
        screen = _load_folder(_top(scratch))
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    # A metamodel may open its files only when it first predicts.
    weakref.finalize(screen, shutil.rmtree, scratch, ignore_errors=True)
    return screen


def _load_folder(folder: Path) -> Screen:
    content = read_content(folder)
    _verify(folder, content.files)
    metamodel = _load_metamodel(folder, content)
    return Screen(
        metamodel,
        spaces=content.spaces,
        rules=content.rules,
        familiarity=_load_familiarity(folder) if FAMILIARITY_FILE in content.files else None,
        source=content.source,
        version=content.version,
    )


def read_content(folder: Path) -> ScreenContent:
    """Return what a folder's screen.json says, before any other file is opened.

    Raises:
        DataError: It cannot be read or says something else.
    """
    path = folder / SCREEN_FILE
    if not path.is_file():
        raise DataError(f"{folder} is no pre-screen: it has no {SCREEN_FILE}; write one with `metamodel export`")
    content = mapping(read_json(path), str(path))
    if content.get("schema_version") != SCHEMA_VERSION:
        raise DataError(
            f"{path}: schema_version is {content.get('schema_version')!r}, must be {SCHEMA_VERSION}: export again"
        )
    if set(content) != _KEYS:
        raise DataError(f"{path}: has {', '.join(sorted(content))}, must have {', '.join(sorted(_KEYS))}: export again")
    created = content["created_utc"]
    if not isinstance(created, str):
        raise DataError(f"{path}: created_utc is {created!r}, must be text: export again")
    return ScreenContent(
        created_utc=created,
        source=mapping(content["source"], f"{path}: source"),
        spaces=label_spaces(content["behaviors"], f"{path}: behaviors"),
        rules=rules_from_json(content["rules"], source=str(path)),
        files=_listed(content["files"], f"{path}: files"),
        version=hashlib.sha256(path.read_bytes()).hexdigest()[:16],
    )


def content_hash_of(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _listed(value: object, where: str) -> dict[str, ListedFile]:
    described = mapping(value, where)
    if len(described) > MOST_FILES:
        raise DataError(f"{where} lists {len(described)} files, at most {MOST_FILES} are read")
    files = {name: _listed_file(item, f"{where}: {name[:80]}") for name, item in described.items()}
    for name in files:
        plain_path(name, where)
    if sum(file.n_bytes for file in files.values()) > MOST_BYTES:
        raise DataError(f"{where} lists more than {MOST_BYTES} bytes, the most that is read")
    if f"{METAMODEL_FOLDER}/{SPEC_FILE}" not in files:
        raise DataError(f"{where} lists no {METAMODEL_FOLDER}/{SPEC_FILE}: export again")
    return files


def _listed_file(value: object, where: str) -> ListedFile:
    facts = mapping(value, where)
    digest, n_bytes = facts.get("sha256"), facts.get("n_bytes")
    is_digest = isinstance(digest, str) and len(digest) == _HASH_CHARACTERS
    if set(facts) != {"sha256", "n_bytes"} or not is_digest or type(n_bytes) is not int or n_bytes < 0:
        raise DataError(f"{where} must have sha256, {_HASH_CHARACTERS} digits, and n_bytes, a whole number")
    return ListedFile(sha256=str(digest), n_bytes=n_bytes)


def _verify(folder: Path, files: Mapping[str, ListedFile]) -> None:
    """Refuse files that are links, changed or missing, and those of the metamodel that are not listed."""
    root = folder.resolve()
    for name, listed in files.items():
        path = root / name
        try:
            status = path.lstat()
            is_own = stat.S_ISREG(status.st_mode) and path.resolve() == path
            if not is_own:
                raise DataError(f"{path}: is a link or no file; a pre-screen is read from inside its folder alone")
            if status.st_size != listed.n_bytes or content_hash_of(path) != listed.sha256:
                raise DataError(f"{path}: is not what {SCREEN_FILE} lists (size or content hash): copy or export again")
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error}): copy or export again") from error
    for name in _names_below(root, METAMODEL_FOLDER):
        if name not in files:
            raise DataError(f"{root}: holds {name[:200]!r}, which {SCREEN_FILE} does not list: remove it")


def _names_below(root: Path, name: str) -> Iterator[str]:
    """Yield the paths of all that is no folder below one, links included, which are not followed."""
    with os.scandir(root / name) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _names_below(root, f"{name}/{entry.name}")
            else:
                yield f"{name}/{entry.name}"


def _load_metamodel(folder: Path, content: ScreenContent) -> Metamodel:
    """Return the metamodel, of a kind that predicts from its own files, in the label spaces of screen.json."""
    require_self_contained(folder / name for name in content.files if Path(name).name == SPEC_FILE)
    metamodel = load_metamodel(folder / METAMODEL_FOLDER)
    spaces = getattr(metamodel, "spaces", None)  # a third party's may not tell
    if spaces is not None and _described(spaces) != _described(content.spaces):
        raise DataError(f"{folder}: its metamodel predicts other outcomes than {SCREEN_FILE} says: export again")
    return metamodel


def _described(spaces: Mapping[str, LabelSpace]) -> dict[str, dict[str, object]]:
    return {name: label_space_to_dict(space) for name, space in spaces.items()}


def _load_familiarity(folder: Path) -> KnowsTrainingPrompts:
    from metamodel.screen.familiarity import Familiarity

    return Familiarity.load(folder / FAMILIARITY_FILE)


def _top(scratch: Path) -> Path:
    """Return where screen.json lies: at the archive's top, or in the one folder that is packed."""
    if (scratch / SCREEN_FILE).exists():
        return scratch
    inner = [path for path in scratch.iterdir() if path.is_dir()]
    return inner[0] if len(inner) == 1 else scratch
