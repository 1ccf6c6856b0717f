"""What the server answers, in process."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from metamodel.errors import MetamodelError
from metamodel.labels import Binary
from metamodel.screen import Screen, ScreenRule, load_screen
from metamodel.serve.app import build_app
from metamodel.serve.reloading import Loaded
from metamodel.serve.settings import KEY_VARIABLE, ServeSettings
from metamodel.types import Predictions

PROMPTS = ["red stone river", "blue stone river", "", "a\x00b", "東京 \U0001f642"]


def settings(folder: Path = Path("nowhere"), **changes: Any) -> ServeSettings:  # noqa: ANN401 - any setting
    """Return settings with small limits."""
    return ServeSettings(
        folder=folder, max_batch=8, max_explained=4, max_prompt_characters=1000, max_body_bytes=20_000, **changes
    )


@pytest.fixture(scope="module")
def client(bag_folder: Path) -> Iterator[TestClient]:
    """Return a client of a small bag."""
    with TestClient(build_app(settings(bag_folder)), raise_server_exceptions=False) as served:
        yield served


class Slow:
    """A metamodel that takes its time, or fails, where the prompt says so."""

    description_bits = 0.0
    spaces = {"fail": Binary()}  # noqa: RUF012 - never changed

    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:
        """Sleep for as many seconds as each prompt says."""
        del domains
        for text in texts:
            if text == "bug":
                raise RuntimeError("a secret prompt")
            time.sleep(float(text))
        return {"fail": np.tile([0.75, 0.25], (len(texts), 1))}

    def save(self, folder: Path) -> None:
        """Never asked for."""


def slow_client(**changes: Any) -> TestClient:  # noqa: ANN401 - any setting
    """Return a client of a slow pre-screen."""
    model = Slow()
    screen = Screen(model, spaces=model.spaces, rules=[ScreenRule(behavior="fail", failures=("yes",), threshold=0.5)])
    loaded = Loaded(
        screen=screen, version="slow", fingerprint="", loaded_at="", behaviors=("fail",), s_per_character=1.0
    )
    return TestClient(build_app(settings(**changes), first=loaded), raise_server_exceptions=False)


def test_answers_are_those_of_the_screen(client: TestClient, bag_folder: Path) -> None:
    """What is served must be what `Screen` decides in Python, for one prompt, many, and some behaviors."""
    screen = load_screen(bag_folder)
    expected = [json.loads(json.dumps(one.to_dict())) for one in screen(PROMPTS)]
    many = client.post("/v1/screen", json={"prompts": PROMPTS}).json()
    assert many == {"screen": screen.version, "screened": expected}
    assert {one["decision"] for one in expected} == {"pass", "stop"}
    one = client.post("/v1/screen", json={"prompts": PROMPTS[0]}).json()
    assert one["screened"] == expected[:1]
    behavior = next(iter(screen.spaces))
    for names in ([behavior], list(screen.spaces)[1:], list(screen.spaces)):
        some = client.post("/v1/screen", json={"prompts": PROMPTS, "behaviors": names}).json()
        assert some["screened"] == [json.loads(json.dumps(one.to_dict())) for one in screen(PROMPTS, behaviors=names)]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "not_json"),
        (b"{", 400, "not_json"),
        (b'{"prompts": "\xff\xfe"}', 400, "not_json"),
        (b'{"prompts": "\\ud800"}', 400, "not_json"),
        (b'{"prompts": "a\x00b"}', 400, "not_json"),
        (b"[" * 10_000, 400, "not_json"),
        (b'{"prompts": ' + b"[" * 9_000 + b"]" * 9_000 + b"}", 400, "not_json"),
        (b"[]", 422, "not_as_documented"),
        (b"null", 422, "not_as_documented"),
        (b"{}", 422, "not_as_documented"),
        (b'{"prompts": 1}', 422, "not_as_documented"),
        (b'{"prompts": [1]}', 422, "not_as_documented"),
        (b'{"prompts": [["a"]]}', 422, "not_as_documented"),
        (b'{"prompts": "a", "other": 1}', 422, "not_as_documented"),
        (b'{"prompts": "a", "words": -1}', 422, "not_as_documented"),
        (b'{"prompts": "a", "words": 1' + b"0" * 15_000 + b"}", 400, "not_json"),
        (b'{"prompts": "a", "behaviors": ["fial"]}', 422, "unknown_behavior"),
        (b'{"prompts": "a", "behaviors": []}', 422, "unknown_behavior"),
        (b'{"prompts": []}', 422, "batch_size"),
        (json.dumps({"prompts": ["a"] * 9}).encode(), 422, "batch_size"),
        (json.dumps({"prompts": "a" * 1001}).encode(), 422, "prompt_size"),
        (json.dumps({"prompts": "a" * 20_001}).encode(), 413, "body_size"),
    ],
)
def test_bad_bodies_are_refused(client: TestClient, body: bytes, status: int, code: str) -> None:
    """Whatever a body holds, the answer is a stated refusal and no 5xx, and it does not quote the body."""
    answer = client.post("/v1/screen", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers["X-Request-ID"] == answer.json()["error"]["request_id"]
    assert len(answer.content) < 1000


def test_bodies_without_a_length_are_counted(client: TestClient) -> None:
    """A chunked body says nothing of its size: it must be refused once it has grown too large."""
    pieces = iter([b'{"prompts": "', *[b"a" * 5000] * 10, b'"}'])
    answer = client.post("/v1/screen", content=pieces, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_other_media_types_are_refused(client: TestClient) -> None:
    """A form that a page in a browser posts must not be taken for a request, nor compressed bytes for JSON."""
    body = json.dumps({"prompts": "a"})
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "application/json", "Content-Encoding": "gzip"}):
        assert client.post("/v1/screen", content=body, headers=headers).status_code == 415


def test_unknown_paths_and_methods_are_refused_in_the_same_form(client: TestClient) -> None:
    """A client that reads refusals must be able to read every one, and a stranger must not fill the metrics."""
    missing, wrong = client.get("/nowhere-at-all"), client.delete("/v1/screen")
    assert (missing.status_code, wrong.status_code, wrong.headers["Allow"]) == (404, 405, "POST")
    assert missing.json()["error"]["code"] == wrong.json()["error"]["code"] == "no_such_path_or_method"
    assert "nowhere-at-all" not in client.get("/metrics").text


def test_request_ids_are_the_clients_where_they_are_harmless(client: TestClient) -> None:
    """An id joins the client's log with the server's, and must not carry anything else into it."""
    for given, is_kept in (("abc-1", True), ("x" * 65, False), ('a"b', False)):
        assert (client.get("/health", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given) is is_kept


def test_metrics_count_requests_and_decisions(client: TestClient) -> None:
    """Prometheus must see how many prompts were stopped and how requests ended."""
    before = _counts(client)
    client.post("/v1/screen", json={"prompts": PROMPTS[:2]})
    client.post("/v1/screen", json={})
    after = _counts(client)
    grown = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
    assert grown['metamodel_prompts_total{decision="pass"}'] == 1
    assert grown['metamodel_prompts_total{decision="stop"}'] == 1
    assert grown['metamodel_requests_total{path="/v1/screen",status="200"}'] == 1
    assert grown['metamodel_requests_total{path="/v1/screen",status="422"}'] == 1
    assert grown['metamodel_refused_total{code="not_as_documented"}'] == 1


def _counts(client: TestClient) -> dict[str, float]:
    lines = [line for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_words_that_mattered_are_named_where_asked_for(client: TestClient) -> None:
    """The word that decides must be named, with its place, and only so many as were asked for."""
    prompt = "stone river red window garden bread cloud"
    answer = client.post("/v1/screen", json={"prompts": prompt, "words": 2, "behaviors": ["fail"]})
    words = answer.json()["screened"][0]["words"]["fail"]
    assert len(words) == 2
    assert (words[0]["text"], prompt[words[0]["start"] : words[0]["end"]]) == ("red", "red")
    assert words[0]["probability"] > 0
    assert "words" not in client.post("/v1/screen", json={"prompts": prompt}).json()["screened"][0]
    many = client.post("/v1/screen", json={"prompts": ["a"] * 5, "words": 1})
    assert many.json()["error"]["code"] == "too_many_to_explain"


def test_docs_need_nothing_from_elsewhere(client: TestClient) -> None:
    """The page must work without a network, and the schema must name this server's limits and behaviors."""
    page = client.get("/docs").text
    assert "/v1/screen" in page
    assert "http" not in page
    schema = client.get("/openapi.json").json()["components"]["schemas"]["ScreenRequest"]["properties"]
    assert schema["prompts"]["anyOf"][1]["maxItems"] == 8
    assert schema["behaviors"]["anyOf"][0]["items"]["enum"] == client.get("/ready").json()["behaviors"]


def test_a_key_lets_in_who_brings_it(
    bag_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a key nobody else screens or reads counts, probes go on, and the key is never shown."""
    monkeypatch.setenv(KEY_VARIABLE, "open-sesame")
    with TestClient(build_app(settings(bag_folder))) as client:
        for header in ({}, {"Authorization": "Bearer other"}, {"Authorization": "open-sesame"}):
            answer = client.post("/v1/screen", json={"prompts": "a"}, headers=header)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert client.get("/metrics", headers=header).status_code == 401
        right = {"Authorization": "Bearer open-sesame"}
        assert client.post("/v1/screen", json={"prompts": "a"}, headers=right).status_code == 200
        assert client.get("/metrics", headers=right).status_code == 200
        assert client.get("/ready").status_code == 200
        assert client.get("/openapi.json").json()["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert "sesame" not in "".join(capsys.readouterr())
    monkeypatch.setenv(KEY_VARIABLE, "")
    with pytest.raises(MetamodelError, match="is empty"):
        build_app(settings(bag_folder))


@pytest.mark.parametrize("log_prompts", [False, True])
def test_the_log_holds_prompts_only_where_it_was_told_to(
    bag_folder: Path, capsys: pytest.CaptureFixture[str], *, log_prompts: bool
) -> None:
    """Prompts may be anyone's secrets."""
    with TestClient(build_app(settings(bag_folder, log_prompts=log_prompts))) as client:
        client.post("/v1/screen", json={"prompts": ["red secret", "blue secret"]})
        client.post("/v1/screen", json={"prompts": {"secret": 1}})
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    good, bad = (line for line in lines if line["event"] == "request")
    assert (good["prompts"], good["stopped"], good["status"], bad["status"]) == (2, 1, 200, 422)
    assert ("secret" in json.dumps(good)) is log_prompts
    assert "secret" not in json.dumps(bad)


def test_a_bug_fails_its_own_request_and_keeps_the_prompt_to_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """A prompt that breaks the metamodel gets a 500 of its own, and the log says where without quoting it."""
    with slow_client() as client:
        broken = client.post("/v1/screen", json={"prompts": ["0", "bug"]})
        assert client.post("/v1/screen", json={"prompts": "0"}).status_code == 200
    assert (broken.status_code, broken.json()["error"]["code"]) == (500, "bug")
    log = capsys.readouterr().err
    assert "RuntimeError" in log
    assert "secret" not in log


def test_a_full_queue_says_come_back_later() -> None:
    """Back-pressure: what cannot be answered soon is refused at once, while the server still says that it lives."""
    from concurrent.futures import ThreadPoolExecutor

    with slow_client(queue=2) as client, ThreadPoolExecutor(6) as threads:
        asked = [threads.submit(client.post, "/v1/screen", json={"prompts": "0.5"}) for _ in range(6)]
        assert client.get("/health").status_code == 200
        answers = [future.result() for future in asked]
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses[0] == 200
        assert set(statuses) == {200, 429}
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers if answer.status_code == 429)
        assert client.post("/v1/screen", json={"prompts": "0"}).status_code == 200


def test_a_prediction_that_does_not_come_in_time_is_given_up() -> None:
    """A client must hear in time that it will get no decision."""
    with slow_client(timeout_s=0.2) as client:
        late = client.post("/v1/screen", json={"prompts": "1"})
        assert (late.status_code, late.json()["error"]["code"]) == (503, "timeout")
        assert late.headers["Retry-After"]


@pytest.mark.parametrize(("name", "value"), [("port", 70_000), ("workers", 0), ("queue", 0), ("timeout_s", 0.0)])
def test_settings_that_mean_nothing_are_refused(name: str, value: float) -> None:
    """A limit of zero would refuse everything, which nobody asks for."""
    with pytest.raises(MetamodelError, match=f"{name} is"):
        settings(**{name: value})
