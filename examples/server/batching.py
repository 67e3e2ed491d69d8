"""Requests that arrive together are worked out together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np

from .forms import Rows
from .metrics import Metrics
from .refused import Refused
from .settings import Settings

Predict = Callable[[Rows], Rows]
Request = tuple[Rows, "asyncio.Future[Rows]"]

INLINE_SECONDS = 200e-6
"""A batch up to this long runs on the event loop. Handing it to a thread took 0.07 to 0.09 ms, one
time in a hundred 0.2 ms, so a shorter batch is done before the thread would have begun for sure."""

TURN_SECONDS = 30e-6
"""What the queue adds to a request that is alone: two more turns of the event loop."""


class Batcher:
    """The queue of one worker; made and used on its event loop.

    Attributes
    ----------
    inline_rows
        Rows of a batch up to which it runs on the loop itself.
    together
        Requests wait for those that came with them. Not where a row costs so little more alone than
        in a batch that the turns of the loop cost more.
    """

    def __init__(self, predict: Predict, width: int, settings: Settings, metrics: Metrics) -> None:
        self._predict, self._settings, self._metrics = predict, settings, metrics
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Request] = deque()
        self._due: asyncio.Handle | None = None
        self._patient = False  # what is due waits for more requests
        self._job: asyncio.Future[Rows] | None = None
        self._thread = ThreadPoolExecutor(1)
        most = max(settings.rows, settings.batch_rows)
        self.inline_rows = most_within(INLINE_SECONDS, predict, width, most)
        saved = saving(predict, width, settings.batch_rows)
        self.together = settings.wait_ms > 0 or saved > TURN_SECONDS

    async def outputs(self, rows: Rows) -> Rows:
        """Outputs of the rows of one request; a caller that is cancelled meanwhile is left out."""
        if self._metrics.waiting + len(rows) > self._settings.queue_rows:
            message = f"{self._metrics.waiting} rows are waiting already: try again later"
            raise Refused(503, "Overloaded", message, {"Retry-After": "1"})
        if not self.together and self._job is None and len(rows) <= self.inline_rows:
            self._metrics.batches.observe(len(rows))
            self._metrics.rows += len(rows)
            return self._predict(rows)
        future: asyncio.Future[Rows] = self._loop.create_future()
        self._waiting.append((rows, future))
        self._metrics.waiting += len(rows)
        self._schedule()
        return await future

    async def close(self) -> None:
        """Work out what waits; call it when no request comes any more."""
        while self._waiting or self._job is not None:
            await asyncio.sleep(0.001)
        self._thread.shutdown()

    def _schedule(self) -> None:
        if self._job is not None or not self._waiting:
            return
        full = self._metrics.waiting >= self._settings.batch_rows
        if self._due is not None and not (full and self._patient):
            return
        if self._due is not None:
            self._due.cancel()
        wait = self._settings.wait_ms * 1e-3
        self._patient = wait > 0 and not full
        loop = self._loop
        self._due = loop.call_later(wait, self._run) if self._patient else loop.call_soon(self._run)

    def _run(self) -> None:
        self._due = None
        batch = self._taken()
        if not batch:
            return
        job = self._loop.create_future()
        try:
            several = [rows for rows, _ in batch]
            rows = several[0] if len(batch) == 1 else np.concatenate(several)
            self._metrics.batches.observe(len(rows))
            if len(rows) > self.inline_rows:
                self._job = self._loop.run_in_executor(self._thread, self._predict, rows)
                self._job.add_done_callback(lambda job: self._finish(batch, job))
                return
            job.set_result(self._predict(rows))
        except Exception as error:  # nobody waits for ever
            job.set_exception(error)
        self._finish(batch, job)

    def _taken(self) -> list[Request]:
        """The requests of the next batch: one at least, up to ``batch_rows`` rows."""
        batch: list[Request] = []
        count = 0
        while self._waiting:
            rows, future = self._waiting[0]
            if batch and count + len(rows) > self._settings.batch_rows:
                break
            self._waiting.popleft()
            self._metrics.waiting -= len(rows)
            if not future.done():  # its caller was not cancelled
                batch.append((rows, future))
                count += len(rows)
        return batch

    def _finish(self, batch: list[Request], job: asyncio.Future[Rows]) -> None:
        self._job = None
        error, start = job.exception(), 0
        for rows, future in batch:
            stop = start + len(rows)
            if not future.done():
                if error is None:
                    future.set_result(job.result()[start:stop])
                else:
                    future.set_exception(error)
            start = stop
        self._metrics.rows += start if error is None else 0
        self._schedule()


def most_within(seconds: float, predict: Predict, width: int, most: int) -> int:
    """Rows, up to ``most``, of the largest batch tried that takes no longer; 0 if none does."""
    found, rows = 0, 1
    while rows <= most and cost(predict, width, rows) <= seconds:
        found, rows = (most if 2 * rows > most else rows), 2 * rows
    return found


def saving(predict: Predict, width: int, rows: int) -> float:
    """Seconds that a row costs less in a batch of so many."""
    return cost(predict, width, 1) - cost(predict, width, max(rows, 1)) / max(rows, 1)


def cost(predict: Predict, width: int, rows: int) -> float:
    """Least seconds of five batches of so many rows."""
    x = np.zeros((rows, width), np.float32)
    times = []
    for _ in range(5):
        began = perf_counter()
        predict(x)
        times.append(perf_counter() - began)
    return min(times)
