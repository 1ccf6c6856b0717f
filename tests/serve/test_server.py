"""The server as a process of its own: start, stop, reload, workers, and clients that mean ill."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from screen_folders import screen_folder
from serve_load import ask, read_answer, soak
from served_process import RunningServer

HEAVY = ("torch", "lightning", "transformers", "sklearn", "scipy", "pandas", "pyarrow", "matplotlib")


def connect(port: int) -> socket.socket:
    """Return a connection."""
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def test_a_serving_process_imports_nothing_heavy(bag_folder: Path) -> None:
    """A pre-screen is served in little memory, a second after its start: torch and its like must stay out."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom starlette.testclient import TestClient\n"
        "import metamodel.cli, metamodel.serve.running, metamodel.serve.protocol\n"
        "from metamodel.serve.app import build_app\nfrom metamodel.serve.settings import ServeSettings\n"
        f"with TestClient(build_app(ServeSettings(folder=Path({str(bag_folder)!r})))) as client:\n"
        "    assert client.post('/v1/screen', json={'prompts': 'red'}).status_code == 200\n"
        f"sys.exit(str(sorted(set({HEAVY!r}) & set(sys.modules))) if set({HEAVY!r}) & set(sys.modules) else 0)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.slow
def test_a_stopping_server_finishes_what_it_accepted(
    bag_folder: Path, start_server: Callable[..., RunningServer]
) -> None:
    """A request whose body is still on its way when SIGTERM comes is answered; a new connection is refused."""
    server = start_server(bag_folder)
    request = ask("red stone")
    with closing(connect(server.port)) as client:
        client.sendall(request[:-5])
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        with pytest.raises(ConnectionRefusedError):
            connect(server.port)
        client.sendall(request[-5:])
        status, body = read_answer(client)
    assert (status, len(json.loads(body)["screened"])) == (200, 1)
    assert server.process.wait(30) == 0
    assert server.wait_for("stopped")


@pytest.mark.slow
def test_slow_and_odd_senders_are_sent_away(bag_folder: Path, start_server: Callable[..., RunningServer]) -> None:
    """Nobody holds a connection by sending slowly, and who closes its sending side still gets its answer."""
    server = start_server(bag_folder, "--receive-timeout", "1", "--max-connections", "20")
    port = server.port
    request = ask("red stone")
    silent, in_headers, in_body = connect(port), connect(port), connect(port)
    with closing(silent), closing(in_headers), closing(in_body):
        in_headers.sendall(request[:20])
        in_body.sendall(request[:-5])
        assert read_answer(in_headers)[0] == read_answer(in_body)[0] == 408
        assert silent.recv(1) == b""
    with closing(connect(port)) as half:
        half.sendall(request)
        half.shutdown(socket.SHUT_WR)
        assert read_answer(half)[0] == 200
        assert half.recv(1) == b""
    with closing(connect(port)) as endless:
        endless.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 40_000)
        assert read_answer(endless)[0] == 431
    time.sleep(0.2)
    crowd = [connect(port) for _ in range(25)]
    assert read_answer(crowd[-1])[0] == 429
    for one in crowd:
        one.close()
    time.sleep(0.5)
    with closing(connect(port)) as after:
        after.sendall(request * 3)
        assert [read_answer(after)[0] for _ in range(3)] == [200] * 3


@pytest.mark.slow
def test_a_new_folder_takes_over_without_a_failed_request(
    bag_folder: Path, tmp_path: Path, start_server: Callable[..., RunningServer]
) -> None:
    """Requests go on while another pre-screen takes over, and a broken one leaves the old one in service."""
    shown, other = tmp_path / "shown", screen_folder(tmp_path / "other", kind="base_rate")
    shown.symlink_to(bag_folder)
    server = start_server(shown, "--reload")
    url = f"http://127.0.0.1:{server.port}"
    answers: list[tuple[int, str]] = []
    is_over = threading.Event()

    def keep_asking() -> None:
        with httpx.Client() as client:
            while not is_over.is_set():
                answer = client.post(f"{url}/v1/screen", json={"prompts": "red stone"})
                answers.append((answer.status_code, answer.json().get("screen", "")))

    def point_to(folder: Path) -> None:
        (tmp_path / "next").symlink_to(folder)
        (tmp_path / "next").rename(shown)

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        point_to(other)
        server.wait_for("reloaded")
        broken = tmp_path / "broken"
        shutil.copytree(bag_folder, broken)
        (broken / "metamodel" / "weights.safetensors").write_bytes(b"broken")
        point_to(broken)
        server.wait_for("reload_failed")
        assert "weights.safetensors" in httpx.get(f"{url}/ready").json()["reload_error"]
        point_to(bag_folder)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("reloaded", n=2)
        assert httpx.get(f"{url}/ready").json()["reload_error"] is None
    finally:
        is_over.set()
        asking.join()
    versions = [version for _, version in answers]
    assert {status for status, _ in answers} == {200}
    assert [version for place, version in enumerate(versions) if version not in versions[:place]] == list(
        dict.fromkeys(versions)
    )
    assert len(set(versions)) == 2


@pytest.mark.slow
def test_a_killed_worker_loses_only_its_requests_in_flight(
    bag_folder: Path, start_server: Callable[..., RunningServer]
) -> None:
    """Killing one worker of two (-9) costs each of its connections one request at most; another takes its place."""
    server = start_server(bag_folder, "--workers", "2", "--quiet")
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text(encoding="ascii")
    workers = [pid for pid in map(int, children.split()) if "spawn_main" in _command(pid)]
    assert len(workers) == 2

    async def scenario() -> list[tuple[int, int]]:
        clients = [asyncio.create_task(_ask_through_failures(server.port, 300)) for _ in range(8)]
        await asyncio.sleep(0.5)
        os.kill(workers[0], signal.SIGKILL)
        return await asyncio.gather(*clients)

    results = asyncio.run(scenario())
    assert all(right == 300 and failed <= 1 for right, failed in results), results
    assert server.wait_for("worker_died")["worker"] == workers[0]
    assert "metamodel_requests_total" in httpx.get(f"http://127.0.0.1:{server.port}/metrics").text
    assert server.stop() == 0


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")


async def _ask_through_failures(port: int, n_requests: int) -> tuple[int, int]:
    """Return how many requests were answered and how many connections broke."""
    right = failed = 0
    while right < n_requests:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while right < n_requests:
                writer.write(ask("red stone"))
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200")
                await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
                right += 1
                await asyncio.sleep(0.002)
        except (asyncio.IncompleteReadError, ConnectionError):
            failed += 1
        finally:
            writer.close()
    return right, failed


@pytest.mark.slow
def test_fifty_thousand_requests_a_fifth_of_them_hostile(
    bag_folder: Path, start_server: Callable[..., RunningServer]
) -> None:
    """No request gets another one's answer or a 5xx, and memory does not grow, whatever a fifth of the clients send."""
    server = start_server(bag_folder, "--quiet", "--receive-timeout", "2")
    warm = asyncio.run(soak(server.port, bag_folder, n_requests=5_000, seed=1))
    before = server.resident_bytes()
    found = asyncio.run(soak(server.port, bag_folder, n_requests=45_000, seed=2))
    grown = server.resident_bytes() - before
    assert warm.wrong == found.wrong == []
    statuses = warm.statuses + found.statuses
    assert statuses.total() >= 45_000
    assert {status for status in statuses if status >= 500} == set()
    assert {200, 400, 408, 413, 422} <= set(statuses)
    assert grown < 16 * 2**20, f"{grown / 2**20:.1f} MiB more after the second part"
    assert server.stop() == 0
    assert not [line for line in server.lines if line.get("level") == "error"]
