"""`metamodel screen`: a line out for a line in, in order, whatever stands on it, in constant memory."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from screen_folders import screen_folder, small_metamodel

from metamodel.screen import Screen, load_screen
from metamodel.screen import stream as stream_module
from metamodel.screen.stream import StreamSummary, read_lines, screen_lines

GOOD = b'{"id": 7, "prompt": "red stone"}\n'


@pytest.fixture
def screen(kept_folder: Callable[[str], Path]) -> Screen:
    """Return a loaded pre-screen."""
    return load_screen(kept_folder("tfidf_logistic"))


def rows_of(screen: Screen, content: bytes, **options: object) -> tuple[list[dict[str, object]], StreamSummary]:
    """Return the rows that a file's content gives, and their summary."""
    summary = StreamSummary()
    lines = read_lines(io.BytesIO(content))
    rows = list(screen_lines(screen, lines, summary=summary, **options))  # type: ignore[arg-type] # named options
    return rows, summary


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "is not JSON"),
        (b"", "is empty"),
        (b"   ", "is empty"),
        (b"\xff\xfe", "is not UTF-8"),
        (b'"\xed\xa0\x80"', "is not UTF-8"),
        (b"12", "must be a text or a mapping"),
        (b'{"id": 1}', "a mapping without it"),
        (b'{"prompt": 3}', "of type int"),
        (b'{"prompt": null}', "without it"),
        (b"NaN", "is not JSON"),
        (b'{"prompt": "a", "x": 1e999}', "too large a number"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"prompt": "a", "decision": 1}', "which is written here"),
        (b'"' + b"a" * 1_000_001 + b'"', "has 1000001 characters"),
        (b'"' + b"a" * 2**24 + b'"', "bytes"),
    ],
)
def test_a_bad_line_keeps_its_place(screen: Screen, line: bytes, said: str) -> None:
    """A bad line becomes a row with its number and what is wrong; its neighbors get their decisions."""
    rows, summary = rows_of(screen, GOOD + line + b"\n" + GOOD)
    assert len(rows) == 3
    assert rows[1]["line"] == 2
    assert said in str(rows[1]["error"])
    assert rows[0] == rows[2]
    assert (rows[0]["id"], rows[0]["decision"]) == (7, "stop")
    assert (summary.n_lines, summary.n_bad, summary.n_stopped, summary.n_passed) == (3, 1, 2, 0)
    assert summary.stopped_by == {"fail": 2}


@pytest.mark.parametrize("batch_size", [1, 3, 1000])
def test_rows_are_those_of_the_screen(screen: Screen, batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However lines are batched, every row is what the pre-screen says of its prompt alone, in the file's order."""
    prompts = ["red stone", "", "\ud800", "\x00", "blue " * 50, "漢字", "line\u2028separator\r", "red"]
    content = "\n".join(json.dumps(prompt) for prompt in prompts).encode()  # no newline at the end
    for most in (1, 2**22):
        monkeypatch.setattr(stream_module, "_MOST_BATCH_CHARACTERS", most)
        rows, summary = rows_of(screen, content, batch_size=batch_size)
        assert rows == [screen([prompt])[0].to_dict() for prompt in prompts]
        assert summary.n_lines == len(prompts)


def test_fewer_words(screen: Screen) -> None:
    """Only decisions, or only some behaviors, where asked for; other fields go through, a byte order mark too."""
    rows, _ = rows_of(screen, b"\xef\xbb\xbf" + GOOD, only_decisions=True)
    assert rows == [{"id": 7, "decision": "stop"}]
    rows, _ = rows_of(screen, GOOD, behaviors=["tone"])
    assert rows[0]["decision"] == "pass"
    assert set(rows[0]["probabilities"]) == {"tone"}  # type: ignore[call-overload] # a mapping


def call(*arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run the command."""
    command = [sys.executable, "-c", "from metamodel.cli import main; main()", "screen", *arguments]
    return subprocess.run(command, capture_output=True, check=False, **options)  # type: ignore[call-overload,no-any-return] # named options


def test_the_command(kept_folder: Callable[[str], Path], tmp_path: Path) -> None:
    """Decisions on stdout, bad lines and the summary on stderr, exit code 1 where a line was bad and 2 for mistakes."""
    folder = str(kept_folder("tfidf_logistic"))
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(GOOD + b"\xff\n" + b'"blue"\n')
    finished = call(folder, str(path), "--summary")
    assert finished.returncode == 1
    assert [json.loads(line).get("decision") for line in finished.stdout.splitlines()] == ["stop", None, "pass"]
    assert b"line 2: is not UTF-8" in finished.stderr
    assert b"3 lines: 1 pass, 1 stop, 1 bad" in finished.stderr
    piped = call(folder, "-", "--json", "--only-decisions", "--behavior", "fail", input=GOOD * 3)
    assert piped.returncode == 0
    assert piped.stdout == b'{"id":7,"decision":"stop"}\n' * 3
    assert json.loads(piped.stderr)["n_stopped"] == 3
    for arguments in ([folder, "nowhere.jsonl"], [folder, str(path), "--behavior", "x"], [str(tmp_path), str(path)]):
        refused = call(*arguments)
        assert (refused.returncode, refused.stdout) == (2, b"")
        assert refused.stderr.startswith(b"error: ")


def test_a_reader_that_goes_away_is_no_error(kept_folder: Callable[[str], Path], tmp_path: Path) -> None:
    """`metamodel screen ... | head` ends without a word, as other tools do."""
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(GOOD * 20_000)
    code = "from metamodel.cli import main; main()"
    command = [sys.executable, "-c", code, "screen", str(kept_folder("tfidf_logistic")), str(path), "--batch-size", "8"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b'{"id":7')
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """200,000 lines need hardly more memory than 2,000, whether they are good or bad."""
    folder = screen_folder(tmp_path / "screen", small_metamodel("base_rate"))
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from metamodel.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    status = Path('/proc/self/status').read_text().splitlines()\n"
        "    print(next(line.split()[1] for line in status if line.startswith('VmHWM')), file=sys.stderr)\n"
    )
    peaks = []
    for n_lines in (2_000, 200_000):
        path = tmp_path / "prompts.jsonl"
        with path.open("wb") as file:
            for number in range(n_lines):
                file.write(b'{"id": %d, "prompt": "prompt number %d of many, %s"}\n' % (number, number, b"x" * 60))
        with (tmp_path / "decisions.jsonl").open("wb") as decisions:
            command = [sys.executable, "-c", code, "screen", str(folder), str(path), "--only-decisions"]
            finished = subprocess.run(command, stdout=decisions, stderr=subprocess.PIPE, check=True, env={**os.environ})
        peaks.append(int(finished.stderr) / 1024)
        with (tmp_path / "decisions.jsonl").open("rb") as decisions:
            assert [json.loads(line)["id"] for line in decisions] == list(range(n_lines))
    assert peaks[1] - peaks[0] < 20
