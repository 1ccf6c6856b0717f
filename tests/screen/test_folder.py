"""A folder or archive from a stranger: what was changed, links out, says too much or is unknown is refused."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from metamodel.errors import DataError, MetamodelError, UnknownNameError
from metamodel.screen import Screen, ScreenRule, load_screen
from metamodel.screen import archive as archive_module

PROMPTS = ["red stone river 1", "blue cloud paper 2", "", "\ud800\x00"]


def relist(folder: Path) -> None:
    """Make screen.json list the files as they are now, as somebody who changes them on purpose would."""
    path = folder / "screen.json"
    content = json.loads(path.read_text())
    content["files"] = {
        file.relative_to(folder).as_posix(): {
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "n_bytes": file.stat().st_size,
        }
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file != path
    }
    path.write_text(json.dumps(content))


def change(path: Path, edit: Callable[[dict[str, object]], object]) -> None:
    """Change a JSON file and list it anew."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    if path.name != "screen.json":
        relist(next(parent for parent in path.parents if (parent / "screen.json").exists()))


def test_a_folder_decides_as_its_metamodel_says(folder: Path) -> None:
    """Loaded, a pre-screen decides by the probabilities of the metamodel and the threshold of its rule."""
    screen = Screen.load(folder)
    probabilities = screen.metamodel.predict(PROMPTS)["fail"]
    for decided, (_, fails) in zip(screen(PROMPTS), probabilities.tolist(), strict=True):
        assert decided.decision == ("stop" if fails > 0.5 else "pass")
        assert decided.failures == {"fail": fails}
    assert {one.decision for one in screen(PROMPTS)} == {"pass", "stop"}
    assert screen.source == {"metamodel": "tfidf_logistic"}
    assert len(screen.version) == 16


def test_behaviors_are_chosen_by_name(folder: Path) -> None:
    """Behaviors that were not asked for neither decide nor are told; an unknown one is refused with a hint."""
    screen = load_screen(folder)
    (decided,) = screen([PROMPTS[0]], behaviors=["tone"])
    assert (decided.decision, set(decided.probabilities), decided.failures) == ("pass", {"tone"}, {})
    with pytest.raises(DataError, match="did you mean fail"):
        screen(PROMPTS, behaviors=["fial"])


def test_what_is_no_number_stops() -> None:
    """A third party's probability that is no number lets nothing through."""

    class Broken:
        description_bits = 0.0

        def predict(self, texts: list[str], *, domains: object = None) -> dict[str, np.ndarray]:
            del domains
            return {"fail": np.full((len(texts), 2), np.nan)}

        def save(self, folder: Path) -> None:
            del folder

    from metamodel.labels import Binary

    rule = ScreenRule(behavior="fail", failures=("yes",), threshold=1.0)
    assert Screen(Broken(), spaces={"fail": Binary()}, rules=[rule])(["a"])[0].decision == "stop"


@pytest.mark.parametrize("name", ["metamodel/weights.safetensors", "metamodel/spec.json", "metamodel/vocabulary.json"])
def test_a_changed_or_missing_file_is_refused(folder: Path, name: str) -> None:
    """One byte more or less than screen.json says, or no file, and nothing is loaded."""
    path = folder / name
    content = path.read_bytes()
    for changed in (content + b" ", content[:-1] + bytes([content[-1] ^ 1]), content[:-1]):
        path.write_bytes(changed)
        with pytest.raises(DataError, match=r"is not what screen\.json lists"):
            load_screen(folder)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        load_screen(folder)


def test_a_file_that_is_not_listed_is_refused(folder: Path) -> None:
    """What screen.json does not list is never read: in the metamodel's folder it is refused, elsewhere ignored."""
    (folder / "notes.txt").write_text("mine")
    load_screen(folder)
    (folder / "metamodel" / "more.json").write_text("{}")
    with pytest.raises(DataError, match=r"more\.json', which screen\.json does not list"):
        load_screen(folder)


def test_links_are_refused(folder: Path, tmp_path: Path) -> None:
    """Neither a file nor a folder of the pre-screen may be a link, even to the right content."""
    outside = tmp_path / "outside"
    (folder / "metamodel").rename(outside)
    (folder / "metamodel").symlink_to(outside)
    with pytest.raises(DataError, match="is a link"):
        load_screen(folder)
    (folder / "metamodel").unlink()
    outside.rename(folder / "metamodel")
    weights = folder / "metamodel" / "weights.safetensors"
    weights.rename(tmp_path / "weights")
    weights.symlink_to(tmp_path / "weights")
    with pytest.raises(DataError, match="is a link"):
        load_screen(folder)


def test_a_link_to_the_folder_itself_is_fine(folder: Path, tmp_path: Path) -> None:
    """Deployments name the current version by a link, which is the reader's own."""
    (tmp_path / "current").symlink_to(folder)
    assert load_screen(tmp_path / "current").version == load_screen(folder).version


@pytest.mark.parametrize(
    "name",
    ["../outside", "/etc/passwd", "metamodel//spec.json", "C:\\x", "a/../b", "metamodel\\spec.json", "a\n", "a/" * 40],
)
def test_paths_out_of_the_folder_are_refused(folder: Path, name: str) -> None:
    """screen.json can name nothing outside its folder, on any system."""
    change(folder / "screen.json", lambda content: content["files"].update({name: {"sha256": "0" * 64, "n_bytes": 1}}))
    with pytest.raises(DataError, match="by plain names"):
        load_screen(folder)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("schema_version", 2, "schema_version is 2"),
        ("files", {}, "lists no metamodel"),
        ("files", {f"f{number}": {} for number in range(2001)}, "at most 2000"),
        ("files", {"metamodel/spec.json": {"sha256": "0" * 64, "n_bytes": True}}, "must have sha256"),
        ("files", {"metamodel/spec.json": {"sha256": "0" * 64, "n_bytes": 2**40}}, "more than"),
        ("behaviors", {}, "names 0 behaviors"),
        ("behaviors", {"fail": {"kind": "real", "n_bins": 10**12}}, "which no label space allows"),
        ("behaviors", {"fail": {"kind": "count", "edges": [2, 1]}}, "which no label space allows"),
        ("behaviors", {"fail": {"kind": "binary"}}, "predicts other outcomes"),
        ("rules", [{"behavior": "fail"}], "must be a mapping with"),
        ("rules", [{"behavior": "x", "failures": ["yes"], "threshold": 0.5, "guarantee": None}], "rule of 'x'"),
        ("source", [], "source is list"),
        ("more", 1, "must have"),
    ],
)
def test_a_wrong_screen_json_is_refused(folder: Path, key: str, value: object, said: str) -> None:
    """Every key of screen.json is checked, and numbers before anything is sized by them."""
    change(folder / "screen.json", lambda content: content.update({key: value}))
    with pytest.raises(DataError, match=said):
        load_screen(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"schema_version": NaN}', '{"a": 1e999}', "\ufffe"])
def test_what_is_no_json_is_refused(folder: Path, text: str) -> None:
    """Broken, endlessly nested or non-standard JSON is an error that names the file."""
    (folder / "screen.json").write_text(text)
    with pytest.raises(DataError, match=r"screen\.json"):
        load_screen(folder)
    with pytest.raises(DataError, match="no pre-screen"):
        load_screen(folder / "metamodel")


def test_unknown_and_asking_kinds_are_refused(folder: Path) -> None:
    """Only kinds of installed trainers are loaded, and none that asks another model about every prompt."""
    spec = folder / "metamodel" / "spec.json"
    change(spec, lambda content: content.update(kind="os.system"))
    with pytest.raises(UnknownNameError, match=r"os\.system"):
        load_screen(folder)
    for asked in ({"kind": "zoo", "model": "lstm"}, "zoo", {"kind": "openai", "base_url": "http://x"}, None):
        change(spec, lambda content, asked=asked: content.update(kind="reader", fields={"primary": asked}))
        with pytest.raises(DataError, match="asks another model"):
            load_screen(folder)
    change(spec, lambda content: content.update(kind="stack", fields={"members": ["bag", {"kind": "zoo"}]}))
    with pytest.raises(DataError, match="asks another model"):
        load_screen(folder)


def test_a_pickle_is_no_weights_file(folder: Path, tmp_path: Path) -> None:
    """A pickle in place of the weights is refused and not run."""
    import pickle

    class Runs:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    (folder / "metamodel" / "weights.safetensors").write_bytes(pickle.dumps(Runs()))
    relist(folder)
    with pytest.raises(DataError, match="no safetensors file"):
        load_screen(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tfidf_logistic", "surface", "joint", "bag"])
def test_huge_numbers_in_the_spec_size_nothing(kept_folder: Callable[[str], Path], tmp_path: Path, kind: str) -> None:
    """Whatever whole number of a spec is made huge, loading refuses or ignores it in bounded memory."""
    source = kept_folder(kind)
    code = (
        "import json, pathlib, resource, shutil, sys\n"
        "sys.path.insert(0, sys.argv[3])\n"
        "from test_folder import change\n"
        "from metamodel.errors import MetamodelError\n"
        "from metamodel.screen import load_screen\n"
        "source, target = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])\n"
        "load_screen(source)([''])\n"
        "used = int(pathlib.Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, used + 2**29))\n"
        "fields = json.loads((source / 'metamodel' / 'spec.json').read_text())['fields']\n"
        "names = [name for name, value in fields.items() if type(value) is int]\n"
        "for name in names:\n"
        "    for huge in (10**12, -1):\n"
        "        shutil.rmtree(target, ignore_errors=True)\n"
        "        shutil.copytree(source, target)\n"
        "        change(target / 'metamodel' / 'spec.json', lambda spec: spec['fields'].update({name: huge}))\n"
        "        try:\n"
        "            load_screen(target)(['a prompt'])\n"
        "        except MetamodelError:\n"
        "            pass\n"
        "print(len(names))\n"
    )
    command = [sys.executable, "-c", code, str(source), str(tmp_path / "changed"), str(Path(__file__).parent)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    finished = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert int(finished.stdout) >= 2


def packed(folder: Path, path: Path, *, top: str = "") -> Path:
    """Pack a folder."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"{top}{file.relative_to(folder).as_posix()}")
    return path


@pytest.mark.parametrize("top", ["", "my-screen/"])
def test_an_archive_is_a_folder(folder: Path, tmp_path: Path, top: str) -> None:
    """A zip archive of the folder, or of its content, predicts the same; what it was unpacked to goes with it."""
    screen = load_screen(packed(folder, tmp_path / "screen.zip", top=top))
    expected = load_screen(folder).metamodel.predict(PROMPTS)
    for name, values in screen.metamodel.predict(PROMPTS).items():
        assert np.array_equal(values, expected[name])


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "a\\..\\evil", "C:evil", "a//b", "e\nvil"])
def test_archives_cannot_write_outside(tmp_path: Path, name: str) -> None:
    """A path out of the archive is refused before anything is unpacked."""
    path = tmp_path / "screen.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("screen.json", "{}")
        archive.writestr(zipfile.ZipInfo(name), "x")
    with pytest.raises(DataError, match=r"by plain names|no zip archive"):
        load_screen(path)
    assert not list(tmp_path.rglob("*evil*"))


def bomb_of_ratio(archive: zipfile.ZipFile) -> None:
    """Add zeros that deflate to a thousandth."""
    archive.writestr("screen.json", b"0" * 10_000_000, zipfile.ZIP_DEFLATED)


def bomb_of_files(archive: zipfile.ZipFile) -> None:
    """Add more files than are read."""
    for number in range(2001):
        archive.writestr(f"f{number}", b"")


def bomb_of_names(archive: zipfile.ZipFile) -> None:
    """Add a name twice, but for case."""
    archive.writestr("a", b"1")
    archive.writestr("A", b"2")


def link(archive: zipfile.ZipFile) -> None:
    """Add a symbolic link."""
    entry = zipfile.ZipInfo("metamodel")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(entry, "/etc")


def other_packing(archive: zipfile.ZipFile) -> None:
    """Add a file packed by LZMA."""
    archive.writestr("screen.json", b"{}", zipfile.ZIP_LZMA)


def comment(archive: zipfile.ZipFile) -> None:
    """Add a comment, behind which a second directory could hide."""
    archive.comment = b"x" * 30
    archive.writestr("screen.json", b"{}")


@pytest.mark.parametrize(
    ("add", "said"),
    [
        (bomb_of_ratio, "unpacks to more than 200 times"),
        (bomb_of_files, "lists more than 2000 files"),
        (bomb_of_names, "twice"),
        (link, "is a link"),
        (other_packing, "packed otherwise"),
        (comment, "without a comment"),
    ],
)
def test_bombs_and_tricks_are_refused(tmp_path: Path, add: Callable[[zipfile.ZipFile], None], said: str) -> None:
    """Bombs of size and of number, links, twins and odd packing are refused."""
    path = tmp_path / "screen.zip"
    with zipfile.ZipFile(path, "w") as archive:
        add(archive)
    with pytest.raises(DataError, match=said):
        load_screen(path)


def test_an_archive_that_lies_about_sizes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The total is bounded by what the archive says, and a file never unpacks to more than it says."""
    path = tmp_path / "screen.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("screen.json", os.urandom(5000))
    lying = bytearray(path.read_bytes())
    directory = lying.rindex(b"PK\x01\x02")
    lying[directory + 24 : directory + 28] = (100).to_bytes(4, "little")
    path.write_bytes(lying)
    with pytest.raises(DataError, match=r"no zip archive|unpacks to"):
        load_screen(path)
    monkeypatch.setattr(archive_module, "MOST_BYTES", 99)
    with pytest.raises(DataError, match="the most that is read"):
        load_screen(path)


@pytest.mark.parametrize("content", [b"", b"x" * 10, b"PK\x05\x06" + b"\x00" * 18, b"PK\x03\x04" + os.urandom(500)])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    """Any other file is refused by one line that names it."""
    path = tmp_path / "screen.zip"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"screen\.zip|no pre-screen"):
        load_screen(path)


@pytest.mark.slow
def test_damaged_archives_are_refused_or_the_same(folder: Path, tmp_path: Path) -> None:
    """Whatever bytes of an archive are changed, it is refused as the user's mistake or predicts the same."""
    path = packed(folder, tmp_path / "screen.zip")
    content = path.read_bytes()
    expected = load_screen(path).metamodel.predict(PROMPTS)["fail"]
    rng = np.random.default_rng(0)
    n_refused = 0
    for _ in range(150):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 3):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            assert np.array_equal(load_screen(path).metamodel.predict(PROMPTS)["fail"], expected)
        except MetamodelError:
            n_refused += 1
    assert n_refused > 75


def test_import_is_light() -> None:
    """A pre-screen is loaded where torch and its like are not installed, and fast: its import touches none of them."""
    code = (
        "import sys, metamodel.screen\n"
        "heavy = {'torch', 'scipy', 'sklearn', 'pandas', 'pyarrow', 'transformers', 'lightning', 'pydantic'}\n"
        "sys.exit(str(sorted(heavy & set(sys.modules))) if heavy & set(sys.modules) else 0)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
