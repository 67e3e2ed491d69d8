"""The ASGI app: ``/predict``, ``/healthz``, ``/metrics``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from time import perf_counter

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

import instjit

from .batching import Batcher, Predict
from .body import body_of
from .forms import JSON, Answer, Rows, rows_of
from .metrics import Metrics
from .refused import Refused
from .settings import Settings

PARSED_INLINE = 2**16
"""Bytes of JSON up to which it is parsed on the event loop: 0.2 ms, about what a thread costs at
worst. 4 MiB take 19 ms."""

GONE = 499
"""The status, for the metrics alone, of a client that left before its body was complete."""


class Service:
    """What one worker serves: a model and its ``predict``, with the limits of ``settings``."""

    def __init__(self, model: instjit.Model, predict: Predict, settings: Settings) -> None:
        self._model, self._settings = model, settings
        self._metrics = Metrics()
        self._batcher = Batcher(predict, model.input_size, settings, self._metrics)
        self._parser = ThreadPoolExecutor(1)

    async def predict(self, request: Request) -> Response:
        """Outputs of the rows in the body, in the form of the body."""
        began = perf_counter()
        try:
            response = await self._answered(request)
        except Refused as refused:
            self._metrics.errors[refused.kind] += 1
            response = _refusal(refused)
        except ClientDisconnect:
            self._metrics.errors["ClientLeft"] += 1
            response = Response(status_code=GONE)
        except Exception:
            self._metrics.errors["Failed"] += 1
            self._metrics.answers[500] += 1
            raise  # uvicorn logs it and answers
        self._metrics.answers[response.status_code] += 1
        self._metrics.seconds.observe(perf_counter() - began)
        return response

    async def close(self) -> None:
        """Work out what waits; call it when no request comes any more."""
        self._parser.shutdown()
        await self._batcher.close()

    async def healthz(self, request: Request) -> Response:
        """Ready: the kernel is compiled before the server takes connections."""
        inputs, outputs = self._model.input_size, self._model.output_size
        facts = {"status": "ok", "inputs": inputs, "outputs": outputs}
        return Response(orjson.dumps(facts), media_type=JSON)

    async def metrics(self, request: Request) -> Response:
        """The counters of this worker."""
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def _answered(self, request: Request) -> Response:
        form = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        body = await body_of(request, self._settings)
        rows, answer = await self._parsed(form, body)
        return Response(answer(await self._batcher.outputs(rows)), media_type=form)

    async def _parsed(self, form: str, body: bytes) -> tuple[Rows, Answer]:
        """Large JSON in a thread, one body after the other: others are answered meanwhile.

        orjson keeps the interpreter for a whole document, so they may wait for that, 14 ms of
        4 MiB, and not for the conversion nor for further bodies.
        """
        asked = form, body, self._model, self._settings.rows
        if form != JSON or len(body) <= PARSED_INLINE:
            return rows_of(*asked)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._parser, rows_of, *asked)


def application(model: instjit.Model, predict: Predict, settings: Settings) -> Starlette:
    """The app of a model and of anything that works out its outputs."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        service = Service(model, predict, settings)
        app.routes.extend(
            [
                Route("/predict", service.predict, methods=["POST"]),
                Route("/healthz", service.healthz),
                Route("/metrics", service.metrics),
            ]
        )
        yield
        await service.close()

    return Starlette(lifespan=lifespan)


def create() -> Starlette:
    """The app of the environment's settings: ``uvicorn --factory examples.server.app:create``."""
    settings = Settings.of(os.environ)
    kernel = instjit.compile(settings.model, threads=settings.threads or None)
    kernel.warm()
    return application(kernel.model, kernel.predict, settings)


def _refusal(refused: Refused) -> Response:
    error = {"kind": refused.kind, "message": str(refused)}
    return Response(
        orjson.dumps({"error": error}), refused.status, refused.headers, media_type=JSON
    )
