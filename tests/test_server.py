"""``examples/server``: what it answers, what it refuses, what it puts together."""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import numpy as np
import orjson
import pytest
from plain_run import same_bits

import instjit as ij

pytest.importorskip("starlette")
uvicorn = pytest.importorskip("uvicorn")

from starlette.requests import Request  # noqa: E402

from examples.server import app, batching  # noqa: E402
from examples.server.app import Service, application  # noqa: E402
from examples.server.batching import Batcher  # noqa: E402
from examples.server.forms import rows_of  # noqa: E402
from examples.server.metrics import Histogram, Metrics  # noqa: E402
from examples.server.refused import Refused  # noqa: E402
from examples.server.settings import Settings  # noqa: E402

ROOT = Path(__file__).parents[1]
DIGITS = ROOT / "examples" / "digits"
JSON, RAW = "application/json", "application/octet-stream"
MODEL = ij.Model(
    [3, 2],
    [ij.Dot(0, 1, 0, "TANH")],
    [[[1, -2, 0.5], [0.25, 3, -1]]],
    [[0.5, -0.5]],
    features=["age", "income", "debt"],
)
X = np.array([[1, 2, 3], [0.1, -0.2, 0.3], [-1, 0, 1]], np.float32)
LIMITS = Settings("net.json", body_bytes=2000, body_seconds=0.3, rows=50, batch_rows=8)


@pytest.fixture(scope="module")
def kernel() -> ij.Kernel:
    return ij.compile(MODEL)


@pytest.fixture(scope="module")
def port(kernel) -> Iterator[int]:
    """Where a server answers, in a thread of this process."""
    config = uvicorn.Config(
        application(MODEL, kernel.predict, LIMITS), port=0, log_level="error", ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(timeout=20)
    assert not thread.is_alive()


def ask(
    port: int, body: Any, kind: str | None = JSON, path: str = "/predict", method: str = "POST"
) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {} if kind is None else {"Content-Type": kind}
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response.status, answer, {name.lower(): text for name, text in response.getheaders()}


@pytest.mark.parametrize("kind", [JSON, "Application/JSON; charset=utf-8"])
def test_rows_in_json(kind, port, kernel) -> None:
    status, body, headers = ask(port, orjson.dumps({"rows": X.tolist()}), kind)
    assert (status, headers["content-type"]) == (200, JSON)
    assert same_bits(np.array(orjson.loads(body)["outputs"], np.float32), kernel.predict(X))


def test_one_row_in_json(port, kernel) -> None:
    status, body, _ = ask(port, orjson.dumps({"row": X[1].tolist()}))
    assert status == 200
    assert same_bits(np.array(orjson.loads(body)["output"], np.float32), kernel.row(X[1]))


@pytest.mark.parametrize("count", [0, 1, 3, 50])
def test_rows_as_float32_numbers(count, port, kernel) -> None:
    rows = np.resize(X, (count, 3))
    status, body, headers = ask(port, rows.astype("<f4").tobytes(), RAW)
    assert (status, headers["content-type"]) == (200, RAW)
    assert same_bits(np.frombuffer(body, "<f4").reshape(-1, 2), kernel.predict(rows))


def test_no_rows_in_json(port) -> None:
    assert ask(port, b'{"rows": []}')[:2] == (200, b'{"outputs":[]}')


def test_an_output_that_is_not_finite_is_null() -> None:
    from examples.server.forms import rows_of

    _, answer = rows_of(JSON, b'{"rows": [[1, 2, 3]]}', MODEL, 5)
    assert answer(np.array([[np.inf, 1]], np.float32)) == b'{"outputs":[[null,1.0]]}'


LONG = b'{"rows": [' + b"[1, 2, 3]," * 300 + b"[1, 2, 3]]}"
REFUSED = {
    "not JSON": (b'{"rows": [[1, 2', JSON, 400, "NotJson", "unexpected end of data"),
    "empty": (b"", JSON, 400, "NotJson", "the body is no JSON"),
    "no UTF-8": (b'{"rows": "\xff"}', JSON, 400, "NotJson", "the body is no JSON"),
    "NaN": (b'{"row": [NaN, 1, 2]}', JSON, 400, "NotJson", "the body is no JSON"),
    "1e400": (b'{"row": [1e400, 1, 2]}', JSON, 400, "NotJson", "infinity"),
    "deep": (b"[" * 1900, JSON, 400, "NotJson", "the body is no JSON"),
    "a list": (b"[[1, 2, 3]]", JSON, 422, "NotRows", "the body must be {"),
    "no rows": (b"{}", JSON, 422, "NotRows", "the body must be {"),
    "rows of text": (b'{"rows": "1"}', JSON, 422, "NotRows", "the body must be {"),
    "more than rows": (b'{"row": [1, 2, 3], "x": 1}', JSON, 422, "NotRows", "the body must be {"),
    "narrow": (
        b'{"rows": [[1, 2]]}', JSON, 422, "ValidationInputSizeMismatch",
        "X has 2 columns, the model takes 3: age, income, debt",
    ),
    "a narrow row": (b'{"row": []}', JSON, 422, "ValidationInputSizeMismatch", "x has 0 columns"),
    "ragged": (b'{"rows": [[1, 2, 3], [1]]}', JSON, 422, "InputShape", "of equal length"),
    "flat": (b'{"rows": [1, 2, 3]}', JSON, 422, "InputShape", "X has 1 dimension"),
    "nested": (b'{"row": [[1, 2, 3]]}', JSON, 422, "InputShape", "x has 2 dimensions"),
    "words": (b'{"row": [1, "2", 3]}', JSON, 422, "InputType", "x must be a row of numbers"),
    "null": (b'{"row": [1, null, 3]}', JSON, 422, "InputType", "None"),
    "1e39": (
        b'{"rows": [[1, 2, 3], [1, 1e39, 3]]}', JSON, 422, "NotFinite",
        "row 1, column 1 (income) is not finite in float32",
    ),
    "too many": (b'{"rows": [' + b"0," * 50 + b"0]}", JSON, 422, "TooManyRows", "51 rows"),
    "not whole rows": (b"\0" * 13, RAW, 422, "NotRows", "13 bytes, a row of 3 numbers has 12"),
    "too many numbers": (b"\0" * 612, RAW, 422, "TooManyRows", "51 rows, a request may have 50"),
    "infinite": (np.float32([1, 2, np.inf]).tobytes(), RAW, 422, "NotFinite", "column 2 (debt)"),
    "text": (b"1,2,3", "text/csv", 415, "UnknownContentType", "not text/csv"),
    "no type": (b"1,2,3", None, 415, "UnknownContentType", "without a Content-Type"),
    "too long": (LONG, JSON, 413, "BodyTooLong", "longer than 2000 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_said_in_a_sentence(name, port) -> None:
    body, content_type, status, kind, words = REFUSED[name]
    found, answer, headers = ask(port, body, content_type)
    error = orjson.loads(answer)["error"]
    assert (found, error["kind"], headers["content-type"]) == (status, kind, JSON)
    assert words in error["message"]
    assert "\n" not in error["message"]
    assert ask(port, b'{"row": [1, 2, 3]}')[0] == 200


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/predict", "GET", 405), ("/other", "POST", 404), ("/healthz", "POST", 405)],
)
def test_other_paths_and_methods(path, method, status, port) -> None:
    assert ask(port, b"{}", JSON, path, method)[0] == status


def raw_answer(port: int, *pieces: bytes) -> bytes:
    """What comes back for bytes on the wire until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        for piece in pieces:
            wire.sendall(piece)
        answer = b""
        while piece := wire.recv(65536):
            answer += piece
        return answer


HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNK = b"3e8\r\n" + b" " * 1000 + b"\r\n"


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ((HEAD + b"Content-Length: 2001\r\n\r\n",), b"413"),  # before a byte of the body
        ((HEAD + b"Content-Length: 999999999999\r\n\r\n",), b"413"),
        ((HEAD + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK, CHUNK, CHUNK), b"413"),
        ((HEAD + b"Content-Length: 20\r\n\r\n{",), b"408"),  # and never the rest
        ((HEAD + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK), b"408"),
    ],
)
def test_a_body_is_bounded_as_it_comes_and_the_connection_closed(pieces, status, port) -> None:
    answer = raw_answer(port, *pieces)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"connection: close" in answer.lower()


def test_a_body_in_chunks_within_the_bound(port) -> None:
    pieces = iter([b'{"row": ', b"[1, 2", b", 3]}"])
    assert ask(port, pieces)[0] == 200


def counted(port: int, sample: str) -> float:
    """The value of a sample whose name and last label these are."""
    status, body, headers = ask(port, None, None, "/metrics", "GET")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    name, _, label = sample.partition(" ")
    pattern = rf'^{name}\{{worker="{os.getpid()}"{"," + label if label else ""}\}} (\S+)$'
    found = re.search(pattern, body.decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_client_that_leaves_amid_its_body_is_counted(port) -> None:
    before = counted(port, 'server_errors_total kind="ClientLeft"')
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.sendall(HEAD + b"Content-Length: 20\r\n\r\n{")
    wait_until(lambda: counted(port, 'server_errors_total kind="ClientLeft"') == before + 1)


def parsing(bodies: list[bytes], while_one_is_parsed: Callable[[Service], Any]) -> list[bool]:
    """Ask for outputs of bodies; whether each was parsed on the event loop.

    The story comes when one is being parsed in a thread, or when all are answered.
    """
    inline, began, free = [], threading.Event(), threading.Event()

    def held_up(*asked: Any) -> Any:
        inline.append(threading.current_thread() is threading.main_thread())
        if not inline[-1]:
            began.set()
            assert free.wait(20)
        return rows_of(*asked)

    def request(body: bytes) -> Request:
        made = Request({"type": "http", "headers": [(b"content-type", JSON.encode())]})
        made._receive = AsyncMock(return_value={"type": "http.request", "body": body})
        return made

    async def tell() -> None:
        service = Service(MODEL, first_two, replace(LIMITS, body_bytes=2**20, rows=50))
        answers = [asyncio.create_task(service.predict(request(body))) for body in bodies]
        while not began.is_set() and not all(task.done() for task in answers):
            await asyncio.sleep(0.001)
        await while_one_is_parsed(service)
        free.set()
        assert [(await task).status_code for task in answers] == [200] * len(bodies)
        await service.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "rows_of", held_up)
        asyncio.run(tell())
    return inline


def first_two(rows: Any) -> Any:
    return rows[:, :2]


def test_health_answers_and_small_bodies_are_parsed_while_a_large_one_is() -> None:
    small = b'{"row": [1, 2, 3]}'
    large = small + b" " * app.PARSED_INLINE

    async def look(service: Service) -> None:
        asked = Request({"type": "http", "headers": []})
        assert (await service.healthz(asked)).status_code == 200
        assert b'status="200"} 1' in bytes((await service.metrics(asked)).body)  # the small one

    assert parsing([large, small], look) == [False, True]


@pytest.mark.parametrize(("more", "on_the_loop"), [(0, True), (1, False)])
def test_bodies_from_a_size_on_are_parsed_in_a_thread(more: int, on_the_loop: bool) -> None:
    async def nothing(service: Service) -> None: ...

    body = b'{"row": [1, 2, 3]}'.ljust(app.PARSED_INLINE + more)
    assert parsing([body], nothing) == [on_the_loop]


def test_a_large_body_is_refused_as_a_small_one_is() -> None:
    request = Request({"type": "http", "headers": [(b"content-type", JSON.encode())]})
    body = b'{"rows": [[1, 2]'.ljust(app.PARSED_INLINE + 1)
    request._receive = AsyncMock(return_value={"type": "http.request", "body": body})

    async def ask_once() -> tuple[int, Any]:
        service = Service(MODEL, first_two, replace(LIMITS, body_bytes=2**20))
        answer = await service.predict(request)
        await service.close()
        return answer.status_code, orjson.loads(answer.body)["error"]["kind"]

    assert asyncio.run(ask_once()) == (400, "NotJson")


def test_metrics_count_what_was_asked(port) -> None:
    names = ('server_requests_total status="200"', 'server_requests_total status="400"')
    names += ('server_errors_total kind="NotJson"', "server_rows_total")
    names += ("server_request_seconds_count", 'server_batch_rows_bucket le="4"')
    before = [counted(port, name) for name in names]
    ask(port, orjson.dumps({"rows": X.tolist()}))
    ask(port, b"{")
    after = [counted(port, name) for name in names]
    assert [a - b for a, b in zip(after, before, strict=True)] == [1, 1, 1, 3, 2, 1]


def test_a_failure_of_the_kernel_is_counted() -> None:
    log, request = Log(), Request({"type": "http", "headers": [(b"content-type", RAW.encode())]})
    request._receive = AsyncMock(return_value={"type": "http.request", "body": b"\0" * 12})

    async def fail() -> str:
        service = Service(MODEL, log, LIMITS)
        log.failing = True
        with pytest.raises(RuntimeError, match="no"):
            await service.predict(request)
        await service.close()
        return bytes((await service.metrics(request)).body).decode()

    text = asyncio.run(fail())
    assert re.search(r'server_errors_total\{worker="\d+",kind="Failed"\} 1\n', text)
    assert re.search(r'server_requests_total\{worker="\d+",status="500"\} 1\n', text)


def test_every_line_of_the_metrics_is_of_the_text_format(port) -> None:
    body = ask(port, None, None, "/metrics", "GET")[1].decode()
    assert body.endswith("\n")
    line = r'# (HELP|TYPE) \w+ .+|\w+\{\w+="[^"]*"(,\w+="[^"]*")*\} [-+.e\d]+'
    assert [text for text in body.splitlines() if not re.fullmatch(line, text)] == []


def test_a_histogram_counts_up_to_each_bound_that_included() -> None:
    made = Histogram((1, 2.5))
    for value in (0.5, 1, 2, 3):
        made.observe(value)
    values = [line.rpartition(" ")[2] for line in made.lines("h", 'a="b"')]
    assert values == ["2", "3", "4", "6.5", "4"]


def test_the_health_says_what_the_model_takes(port) -> None:
    status, body, _ = ask(port, None, None, "/healthz", "GET")
    assert (status, orjson.loads(body)) == (200, {"status": "ok", "inputs": 3, "outputs": 2})


class Log:
    """A ``predict`` that doubles, and remembers the batches; it can be held up, and fail."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.inline: list[bool] = []
        self.failing = False
        self.free = threading.Event()
        self.free.set()

    def __call__(self, rows: Any) -> Any:
        self.free.wait(20)
        if self.failing:
            raise RuntimeError("no")
        self.sizes.append(len(rows))
        self.inline.append(threading.current_thread() is threading.main_thread())
        return 2 * rows


def batches(
    story: Callable[[Batcher, Log], Any],
    inline: int = 1000,
    together: bool = True,
    **settings: Any,
) -> tuple[Log, Metrics]:
    """Tell a story to a batcher; it is closed at the end."""
    log, metrics = Log(), Metrics()

    async def tell() -> None:
        given = {"rows": 8, "batch_rows": 8, "queue_rows": 30, **settings}
        batcher = Batcher(log, 1, Settings("", **given), metrics)
        batcher.inline_rows, batcher.together = inline, together
        log.sizes.clear()
        log.inline.clear()
        await story(batcher, log)
        await batcher.close()

    asyncio.run(tell())
    assert metrics.waiting == 0
    return log, metrics


def column(*numbers: float) -> Any:
    return np.array(numbers, np.float32)[:, None]


async def at_once(batcher: Batcher, *sizes: int) -> None:
    """Requests at once, each of which must get its own rows back."""
    rows = [column(*range(k, k + size)) for k, size in enumerate(sizes)]
    outputs = await asyncio.gather(*(batcher.outputs(each) for each in rows))
    assert all(same_bits(found, 2 * each) for found, each in zip(outputs, rows, strict=True))


@pytest.mark.parametrize("inline", [1000, 0], ids=["on the loop", "in the thread"])
@pytest.mark.parametrize(
    ("sizes", "batch"),
    [
        ((1,), [1]),
        ((1, 1, 1), [3]),
        ((8, 1), [8, 1]),
        ((3, 3, 3, 3), [6, 6]),
        ((20, 1, 1), [20, 2]),
        ((0, 2), [2]),
        ((1,) * 20, [8, 8, 4]),
    ],
)
@pytest.mark.parametrize("wait_ms", [0.0, 1.0])
def test_requests_that_come_together_are_one_batch(sizes, batch, inline, wait_ms) -> None:
    log, metrics = batches(lambda b, _: at_once(b, *sizes), inline, wait_ms=wait_ms)
    assert log.sizes == batch
    assert log.inline == [inline > 0] * len(batch)
    assert metrics.rows == sum(sizes)


def test_requests_that_cost_little_alone_run_at_once_while_the_thread_is_free() -> None:
    async def story(batcher: Batcher, log: Log) -> None:
        await at_once(batcher, 1, 1, 4)
        log.free.clear()
        large = asyncio.ensure_future(batcher.outputs(column(*range(5))))
        await asyncio.sleep(0.05)
        small = asyncio.ensure_future(at_once(batcher, 1, 1))
        await asyncio.sleep(0.05)
        log.free.set()
        await asyncio.gather(large, small)

    log, metrics = batches(story, inline=4, together=False)
    assert log.sizes == [1, 1, 4, 5, 2]
    assert log.inline == [True, True, True, False, True]
    assert metrics.rows == 13


@pytest.mark.parametrize(
    ("alone", "in_batch", "wait_ms", "together"),
    [(40e-6, 5e-6, 0.0, True), (6e-6, 1e-6, 0.0, False), (6e-6, 1e-6, 2.0, True)],
)
def test_requests_are_put_together_where_it_saves_more_than_it_costs(
    alone, in_batch, wait_ms, together, monkeypatch
) -> None:
    monkeypatch.setattr(
        batching, "cost", lambda p, w, rows: alone if rows == 1 else in_batch * rows
    )

    async def made() -> Batcher:
        return Batcher(Log(), 1, Settings("", wait_ms=wait_ms), Metrics())

    assert asyncio.run(made()).together is together


def test_a_batch_goes_when_it_is_full_without_the_wait() -> None:
    async def story(batcher: Batcher, log: Log) -> None:
        await asyncio.wait_for(at_once(batcher, *[1] * 8), 20)

    assert batches(story, wait_ms=100_000.0)[0].sizes == [8]


def test_requests_gather_while_the_thread_works() -> None:
    async def story(batcher: Batcher, log: Log) -> None:
        log.free.clear()
        first = asyncio.ensure_future(batcher.outputs(column(1)))
        await asyncio.sleep(0.05)
        others = [asyncio.ensure_future(batcher.outputs(column(k))) for k in range(5)]
        await asyncio.sleep(0.05)
        log.free.set()
        assert same_bits(await first, column(2))
        assert [float(each[0, 0]) for each in await asyncio.gather(*others)] == [0, 2, 4, 6, 8]

    assert batches(story, inline=0)[0].sizes == [1, 5]


def test_what_may_wait_is_bounded() -> None:
    async def story(batcher: Batcher, log: Log) -> None:
        several = [asyncio.ensure_future(batcher.outputs(column(1))) for _ in range(30)]
        await asyncio.sleep(0)
        with pytest.raises(Refused) as caught:
            await batcher.outputs(column(1))
        assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "1"})
        await asyncio.gather(*several)
        assert same_bits(await batcher.outputs(column(4)), column(8))

    batches(story, wait_ms=20.0, batch_rows=1000)


def test_a_request_that_is_cancelled_is_left_out_of_the_batch() -> None:
    async def story(batcher: Batcher, log: Log) -> None:
        several = [asyncio.ensure_future(batcher.outputs(column(k))) for k in range(3)]
        await asyncio.sleep(0)
        several[1].cancel()
        found = await asyncio.gather(*several, return_exceptions=True)
        assert isinstance(found[1], asyncio.CancelledError)
        assert [float(found[k][0, 0]) for k in (0, 2)] == [0, 4]

    assert batches(story, wait_ms=20.0)[0].sizes == [2]


def test_a_request_that_is_cancelled_amid_its_batch_spoils_nothing() -> None:
    async def story(batcher: Batcher, log: Log) -> None:
        log.free.clear()
        several = [asyncio.ensure_future(batcher.outputs(column(k))) for k in range(3)]
        await asyncio.sleep(0.05)
        several[1].cancel()
        await asyncio.sleep(0)
        log.free.set()
        found = await asyncio.gather(*several, return_exceptions=True)
        assert [float(found[k][0, 0]) for k in (0, 2)] == [0, 4]

    assert batches(story, inline=0)[0].sizes == [3]


@pytest.mark.parametrize("inline", [0, 1000])
def test_a_failure_is_told_to_all_of_the_batch_and_not_to_the_next(inline) -> None:
    async def story(batcher: Batcher, log: Log) -> None:
        log.failing = True
        several = (batcher.outputs(column(k)) for k in range(3))
        found = await asyncio.gather(*several, return_exceptions=True)
        assert [str(each) for each in found] == ["no"] * 3
        log.failing = False
        await at_once(batcher, 2)

    assert batches(story, inline)[0].sizes == [2]


def test_closing_works_out_what_waits() -> None:
    left: list[asyncio.Future[Any]] = []

    async def story(batcher: Batcher, log: Log) -> None:
        left.extend(asyncio.ensure_future(batcher.outputs(column(k))) for k in range(3))
        await asyncio.sleep(0)

    batches(story, wait_ms=20.0)
    assert [float(each.result()[0, 0]) for each in left] == [0, 2, 4]


@pytest.mark.parametrize(
    ("cost", "most", "found"), [(1.0, 100, 16), (30.0, 100, 0), (0.01, 100, 100), (0.01, 1, 1)]
)
def test_batches_run_on_the_loop_up_to_the_size_that_takes_as_long(
    cost, most, found, monkeypatch
) -> None:
    monkeypatch.setattr(batching, "cost", lambda predict, width, rows: cost * rows)
    assert batching.most_within(20.0, lambda x: x, 3, most) == found


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "SERVER_MODEL must be the path of a model file"),
        ({"SERVER_ROWS": "many"}, "rows must be a whole number of at least 0, got 'many'"),
        ({"SERVER_ROWS": "1.5"}, "rows must be a whole number"),
        ({"SERVER_ROWS": "-1"}, "rows must be a whole number of at least 0, got '-1'"),
        ({"SERVER_WAIT_MS": "nan"}, "wait_ms must be a number of at least 0, got 'nan'"),
        ({"SERVER_WAIT_MS": "inf"}, "wait_ms must be a number"),
        ({"SERVER_MODEL": "a", "SERVER_QUEUE_ROWS": "9"}, "9, is less than those of a request"),
    ],
)
def test_wrong_settings_are_refused(environment, words) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        Settings.of(environment)


def test_settings_of_the_environment() -> None:
    found = Settings.of({"SERVER_MODEL": "a", "SERVER_ROWS": "7", "SERVER_WAIT_MS": "0.5"})
    assert found == Settings("a", rows=7, wait_ms=0.5)


def command(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "examples.server", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["missing.json"], 1, "missing.json"),
        ([str(DIGITS / "rows.csv")], 1, "not a model file"),
        ([str(DIGITS / "digits.json"), "--rows", "x"], 2, "rows must be a whole number"),
    ],
)
def test_the_command_says_what_is_wrong(words, code, said) -> None:
    with command(*words) as process:
        _, error = process.communicate(timeout=60)
    assert process.returncode == code
    assert said in error
    assert "Traceback" not in error


def test_workers_serve_a_file_until_they_are_told_to_stop() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    path = str(DIGITS / "digits.json")
    with command(path, "--port", str(port), "--workers", "2", "--body-bytes", "100000") as process:
        try:
            wait_until(lambda: listening(port))
            rows = np.loadtxt(DIGITS / "rows.csv", np.float32, delimiter=",", skiprows=1)[:9]
            wanted = ij.reference.run(ij.load(path), rows).tobytes()
            answers = [ask(port, rows.tobytes(), RAW) for _ in range(10)]
            assert {each[:2] for each in answers} == {(200, wanted)}
            assert ask(port, b"\0" * 100_001, RAW)[0] == 413
        finally:
            process.send_signal(signal.SIGTERM)
            _, error = process.communicate(timeout=60)
    assert process.returncode == 0
    assert error.count("Application shutdown complete") == 2
    assert "Traceback" not in error


def listening(port: int) -> bool:
    try:
        return ask(port, None, None, "/healthz", "GET")[0] == 200
    except ConnectionError:
        return False
