"""Machine code of threads that share a job: what they claim, how they meet.

Everything is an array of int64 fields. A job is so many units of work, and ``code`` that does some:
tiles and rows of a batch (``batches``), panels of a wide product of one row. It is open while the
pool's ``ticket`` is odd. A worker that finds it open counts itself in (``active``), looks again,
takes a seat and claims units until none is left; the caller opens the job, claims as they do,
closes it when nothing is left, and waits for those who are in. So a worker that wakes too late
holds nobody up, and a job is never much slower than on the calling thread alone. Numba's pools
(OpenMP) wait for every thread to come and go, which took 0.1 ms where the threads had gone to
sleep. Who wants to share takes the pool first (``busy``); who finds it taken works alone.

Idle workers look at the ticket ``SPINS`` times, then sleep on a condition of POSIX threads. The
pairs (ticket, active) and (ticket, sleeping) are each written by one side and then read by the
other, so these operations are sequentially consistent.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from instjit.kernels.fields import JOB, POOL
from instjit.kernels.pycall import POINTER, Fields, known_function
from instjit.kernels.simd import I32, I64, Builder, IRValue, declare, i64

CODE = ir.FunctionType(ir.VoidType(), [POINTER, I64, I64, I64])
"""Of a job's ``code``."""

SHARE = ir.FunctionType(ir.VoidType(), [POINTER, POINTER])

SPINS = 20_000
"""Looks at the ticket before a worker sleeps, 0.2 ms on Zen 4: callers in a loop come back after 10
to 20 us, and waking a core of a virtual machine takes 0.1 ms."""

PATIENCE = 1000
"""Looks at who is still in before the caller offers its core to others."""

VOID = ir.VoidType()


class PoolFields:
    """Reads and writes a pool's fields."""

    def __init__(self, builder: Builder, pointer: IRValue) -> None:
        self.builder = builder
        self.pointer = pointer
        self.words = builder.bitcast(pointer, I64.as_pointer())

    def at(self, name: str) -> IRValue:
        """Where a field lies."""
        return self.builder.gep(self.words, [i64(POOL[name])])

    def read(self, name: str) -> IRValue:
        """A field that only those write who have taken the pool."""
        return self.builder.load(self.at(name))

    def take(self) -> IRValue:
        """Whether the pool was free; it is taken now."""
        pair = self.builder.cmpxchg(
            self.at("busy"), i64(0), i64(1), "acquire", failordering="monotonic"
        )
        return self.builder.extract_value(pair, 1)

    def give(self) -> None:
        """Give the pool back."""
        self.builder.store_atomic(i64(0), self.at("busy"), "release", 8)

    def seen(self, name: str) -> IRValue:
        """A field that others write at any time."""
        return self.builder.load_atomic(self.at(name), "seq_cst", 8)

    def add(self, name: str, amount: int) -> IRValue:
        """Add to a field that others write too."""
        return self.builder.atomic_rmw("add", self.at(name), i64(amount), "seq_cst")

    def put(self, name: str, value: IRValue) -> None:
        """Write a field that others look at."""
        self.builder.atomic_rmw("xchg", self.at(name), value, "seq_cst")

    def posix(self, function: str, *names: str) -> None:
        """Call a function of POSIX threads on objects of the pool."""
        kind = ir.FunctionType(I32, [POINTER] * len(names))
        address = known_function(self.builder, function, kind)
        places = [self.builder.bitcast(self.at(name), POINTER) for name in names]
        self.builder.call(address, places)


def current_pool(builder: Builder, form: Fields) -> tuple[IRValue, PoolFields]:
    """Whether this process has a pool, and the pool, of a kernel's ``FORM``."""
    cell = builder.inttoptr(form.pool, I64.as_pointer())
    address = builder.load(cell)
    found = builder.icmp_unsigned("!=", address, i64(0))
    return found, PoolFields(builder, builder.inttoptr(address, POINTER))


def _write_alone(module: ir.Module, name: str) -> None:
    function = ir.Function(module, ir.FunctionType(VOID, [POINTER]), name)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    _claim_all(builder, function.args[0])
    builder.ret_void()


def _write_run(module: ir.Module, name: str) -> None:
    write_taking(module, name, "instjit_share")


def write_taking(module: ir.Module, name: str, work: str) -> None:
    """``f(pool, job)``: takes the pool, calls ``work(pool, job)`` and gives it back.

    Answers 0 where the pool is taken.
    """
    function = ir.Function(module, ir.FunctionType(I32, [POINTER, POINTER]), name)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    held, job = function.args
    pool = PoolFields(builder, held)
    taken = pool.take()
    with builder.if_then(taken):
        builder.call(declare(module, SHARE, work), [held, job])
        pool.give()
    builder.ret(builder.zext(taken, I32))


def _write_take(module: ir.Module, name: str) -> None:
    function = ir.Function(module, ir.FunctionType(I32, [POINTER]), name)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    builder.ret(builder.zext(PoolFields(builder, function.args[0]).take(), I32))


def _write_give(module: ir.Module, name: str) -> None:
    function = ir.Function(module, ir.FunctionType(VOID, [POINTER]), name)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    PoolFields(builder, function.args[0]).give()
    builder.ret_void()


def _write_share(module: ir.Module, name: str) -> None:
    function = ir.Function(module, SHARE, name)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    held, job = function.args
    pool = PoolFields(builder, held)
    closed = pool.seen("ticket")
    builder.store(builder.ptrtoint(job, I64), pool.at("job"))
    pool.put("ticket", builder.add(closed, i64(1)))
    asleep = builder.icmp_unsigned("!=", pool.seen("sleeping"), i64(0))
    with builder.if_then(asleep):
        pool.posix("pthread_mutex_lock", "mutex")
        pool.posix("pthread_cond_broadcast", "condition")
        pool.posix("pthread_mutex_unlock", "mutex")
    _claim_all(builder, job)
    pool.put("ticket", builder.add(closed, i64(2)))
    _wait_for_all(builder, pool)
    builder.ret_void()


def _wait_for_all(builder: Builder, pool: PoolFields) -> None:
    before = builder.block
    look, still, yields, again, done = (
        builder.append_basic_block(name) for name in ("look", "still", "yields", "again", "done")
    )
    builder.branch(look)
    builder.position_at_end(look)
    looks = builder.phi(I64)
    looks.add_incoming(i64(0), before)
    builder.cbranch(builder.icmp_unsigned("==", pool.seen("active"), i64(0)), done, still)
    builder.position_at_end(still)
    _pause(builder)
    builder.cbranch(builder.icmp_unsigned(">", looks, i64(PATIENCE)), yields, again)
    builder.position_at_end(yields)
    pool.posix("sched_yield")
    builder.branch(again)
    builder.position_at_end(again)
    looks.add_incoming(builder.add(looks, i64(1)), again)
    builder.branch(look)
    builder.position_at_end(done)


def _write_serve(module: ir.Module, name: str) -> None:
    function = ir.Function(module, ir.FunctionType(VOID, [POINTER]), name)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    pool = PoolFields(builder, function.args[0])
    last = builder.alloca(I64)
    builder.store(i64(0), last)
    idle, look, pause, sleep, join = (
        builder.append_basic_block(name) for name in ("idle", "look", "pause", "sleep", "join")
    )
    builder.branch(idle)
    builder.position_at_end(idle)
    builder.branch(look)
    builder.position_at_end(look)
    looks = builder.phi(I64)
    looks.add_incoming(i64(0), idle)
    ticket = pool.seen("ticket")
    builder.cbranch(_fresh(builder, ticket, builder.load(last)), join, pause)
    builder.position_at_end(pause)
    _pause(builder)
    following = builder.add(looks, i64(1))
    looks.add_incoming(following, pause)
    builder.cbranch(builder.icmp_unsigned("<", following, i64(SPINS)), look, sleep)
    builder.position_at_end(sleep)
    woken = _sleep(builder, pool, last)
    after = builder.block
    builder.branch(join)
    builder.position_at_end(join)
    found = builder.phi(I64)
    found.add_incoming(ticket, look)
    found.add_incoming(woken, after)
    _join(builder, pool, found)
    builder.store(found, last)
    builder.branch(idle)


def _sleep(builder: Builder, pool: PoolFields, last: IRValue) -> IRValue:
    """Until there is a batch that the worker has not seen; gives its ticket."""
    look, wait, woken = (builder.append_basic_block(name) for name in ("asleep", "wait", "woken"))
    pool.posix("pthread_mutex_lock", "mutex")
    pool.add("sleeping", 1)
    builder.branch(look)
    builder.position_at_end(look)
    ticket = pool.seen("ticket")
    builder.cbranch(_fresh(builder, ticket, builder.load(last)), woken, wait)
    builder.position_at_end(wait)
    pool.posix("pthread_cond_wait", "condition", "mutex")
    builder.branch(look)
    builder.position_at_end(woken)
    pool.add("sleeping", -1)
    pool.posix("pthread_mutex_unlock", "mutex")
    return ticket


def _join(builder: Builder, pool: PoolFields, ticket: IRValue) -> None:
    """Claim units of the job of that ticket, if it is still open and has a seat."""
    pool.add("active", 1)
    with builder.if_then(builder.icmp_unsigned("==", pool.seen("ticket"), ticket)):
        job = builder.inttoptr(builder.load(pool.at("job")), POINTER)
        place = Fields(builder, job, JOB).at("seats")
        seats = builder.atomic_rmw("sub", place, i64(1), "monotonic")
        with builder.if_then(builder.icmp_signed(">", seats, i64(0))):
            _claim_all(builder, job)
    pool.add("active", -1)


def _fresh(builder: Builder, ticket: IRValue, last: IRValue) -> IRValue:
    opened = builder.icmp_unsigned("!=", builder.and_(ticket, i64(1)), i64(0))
    return builder.and_(opened, builder.icmp_unsigned("!=", ticket, last))


def _claim_all(builder: Builder, pointer: IRValue) -> None:
    """Take ``grain`` units at a time until there are none."""
    job = Fields(builder, pointer, JOB)
    worker = builder.atomic_rmw("add", job.at("workers"), i64(1), "monotonic")
    code = builder.inttoptr(job.code, CODE.as_pointer())
    total, grain = job.total, job.grain
    claim, work, done = (builder.append_basic_block(name) for name in ("claim", "work", "claimed"))
    builder.branch(claim)
    builder.position_at_end(claim)
    first = builder.atomic_rmw("add", job.at("claimed"), grain, "monotonic")
    builder.cbranch(builder.icmp_signed(">=", first, total), done, work)
    builder.position_at_end(work)
    end = builder.add(first, grain)
    last = builder.select(builder.icmp_signed(">", end, total), total, end)
    builder.call(code, [pointer, first, last, worker])
    builder.branch(claim)
    builder.position_at_end(done)


def _pause(builder: Builder) -> None:
    """Tell an x86 core that this is a loop of waiting."""
    triple = str(builder.module.triple)
    if triple.startswith(("x86", "amd64", "i686")):
        kind: Any = ir.FunctionType(VOID, [])
        builder.call(declare(builder.module, kind, "llvm.x86.sse2.pause"), [])


WRITERS = {
    "alone": _write_alone, "share": _write_share, "serve": _write_serve,
    "run": _write_run, "take": _write_take, "give": _write_give,
}  # fmt: skip
"""Of the functions by their names. ``alone(job)`` and ``share(pool, job)``, for those who have
taken the pool, return when a job is done, ``serve(pool)`` never. ``run(pool, job)`` takes the pool,
shares and gives it back, or answers 0 where it is taken; ``take(pool)`` alone answers the same,
``give(pool)`` ends it."""
