"""Each pass does what it is for, only where it may, and leaves its input alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from nets import NETS, dense
from random_models import random_model
from step_interpreter import run_program

import instjit as ij
from instjit.lower import lower
from instjit.passes import PASSES, apply, drop_dead, forward_copies, fuse, reuse_regions
from instjit.program import (
    EACH,
    Accumulator,
    Call,
    Gemm,
    Index,
    Lookup,
    Map,
    Program,
    Read,
    Reduce,
    Step,
    View,
    call,
    reads,
    step_reads,
)

VARIANTS = ("output", "slots", "buffer")


def program_of(sizes, instructions, *, width, variant="output", **parts) -> Program:
    model = ij.Model(sizes, instructions, feature_size=width, **parts)
    assert ij.validate(model) == ()
    return lower(model, variant)


def kinds(program: Program) -> list[str]:
    return [type(step).__name__ for step in program.steps]


def functions(step: Step) -> list[str]:
    """Names of the functions in a step's expression, outermost first."""
    found: list[str] = []

    def visit(value) -> None:
        if isinstance(value, Call):
            found.append(value.function)
            for argument in value.arguments:
                visit(argument)

    visit(step.epilogue if isinstance(step, Gemm) else step.value)
    return found


MATRIX = {"weights": [np.eye(4)]}


# -- fuse ------------------------------------------------------------------------------------------


def test_an_activation_becomes_the_epilogue_of_its_product() -> None:
    program = fuse(program_of([4, 4], [ij.Dot(0, 1, 0, "TANH")], width=4, **MATRIX))
    (gemm,) = program.steps
    assert isinstance(gemm, Gemm)
    assert gemm.epilogue == call("tanh", Accumulator())


def test_a_whole_chain_becomes_one_epilogue() -> None:
    chain = [
        ij.Dot(0, 1, 0, "TANH"),
        ij.MulElementwise(1, 0),
        ij.AddElementwise(1, 0),
        ij.ClipElementwise(1, 0, 0),
    ]
    (gemm,) = fuse(program_of([4, 4], chain, width=4, parameters=[[1.5]], **MATRIX)).steps
    assert functions(gemm) == ["min", "max", "add", "mul", "tanh"]
    assert gemm.origin == (0, 1, 2, 3)


def test_elementwise_chains_become_one_map() -> None:
    chain = [ij.Activate(0, "RELU"), ij.AddElementwise(0, 0), ij.Activate(0, "TANH")]
    (step,) = fuse(program_of([4], chain, width=4, parameters=[[1.5]])).steps
    assert isinstance(step, Map)
    assert functions(step) == ["tanh", "add", "relu"]


def test_a_residual_is_added_in_the_product() -> None:
    steps = [ij.Dot(0, 1, 0), ij.AddElementwiseBuffers((0, 1), 2)]
    (gemm,) = fuse(program_of([4, 4, 4], steps, width=4, **MATRIX)).steps
    assert gemm.epilogue == call("add", Read(0, 0), Accumulator())


@pytest.mark.parametrize(
    ("name", "instructions"),
    [
        (
            "read twice",
            [ij.Dot(0, 1, 0), ij.ReduceSum(1, 2), ij.AddElementwiseBuffers((1, 2), 3)],
        ),
        ("read by a product", [ij.Dot(0, 1, 0), ij.Dot(1, 3, 0)]),
        ("read shifted", [ij.Dot(0, 1, 0), ij.CopyMasked(1, 3, (3, 2, 1, 0))]),
        ("read in part", [ij.Dot(0, 1, 0), ij.CopyMasked(1, 3, (0, 1))]),
        ("summed", [ij.Dot(0, 1, 0), ij.ReduceSum(1, 3)]),
    ],
)
def test_a_product_is_not_fused_with_a_reader_that_needs_all_of_it(name, instructions) -> None:
    program = fuse(program_of([4, 4, 4, 4], instructions, width=4, **MATRIX))
    gemm = next(step for step in program.steps if isinstance(step, Gemm))
    assert gemm.epilogue == Accumulator()


def test_a_value_that_is_asked_for_is_not_fused_away() -> None:
    steps = [ij.Dot(0, 1, 0), ij.Copy(1, 2), ij.Activate(2, "RELU")]
    for variant, count in (("output", 1), ("slots", 2)):
        program = drop_dead(fuse(program_of([4, 4, 4], steps, width=4, variant=variant, **MATRIX)))
        assert len(program.steps) == count


def hand_made(*steps: Step, regions: tuple[int, ...], output: int) -> Program:
    """Region 0 takes the input."""
    from instjit.program import Column

    count = regions[0]
    loads = (Column(0, View(0, 0, count)),)
    stores = (Column(0, View(output, 0, regions[output])),)
    return Program(regions, steps, loads, stores, count, regions[output])


def test_a_map_is_not_moved_past_a_write_to_what_it_reads() -> None:
    program = hand_made(
        Map(View(1, 0, 4), call("relu", Read(2, 0))),
        Map(View(2, 0, 2), Read(0, 0)),
        Map(View(3, 0, 4), call("tanh", Read(1, 0))),
        Map(View(4, 0, 4), call("add", Read(3, 0), Read(2, 0))),
        regions=(4, 4, 4, 4, 4),
        output=4,
    )
    fused = fuse(program)
    assert [functions(step) for step in fused.steps] == [["relu"], [], ["add", "tanh"]]


def test_a_map_is_not_fused_into_a_step_that_writes_what_it_reads() -> None:
    program = hand_made(
        Map(View(1, 0, 4), call("relu", Read(2, 0))),
        Map(View(2, 0, 4), call("tanh", Read(1, 0))),
        regions=(4, 4, 4),
        output=2,
    )
    assert fuse(program).steps == program.steps


def test_long_chains_are_fused_in_pieces() -> None:
    chain = [ij.AddElementwise(0, 0)] * 100
    program = fuse(program_of([4], chain, width=4, parameters=[[1.5]]))
    assert 2 < len(program.steps) < 10
    assert sum(len(functions(step)) for step in program.steps) == 100


# -- forward_copies --------------------------------------------------------------------------------


def test_what_reads_a_copy_reads_its_source() -> None:
    steps = [ij.Copy(0, 1), ij.Copy(1, 2), ij.Dot(2, 3, 0)]
    program = forward_copies(program_of([4, 4, 4, 4], steps, width=4, **MATRIX))
    assert program.steps[-1].source == View(0, 0, 4)
    assert kinds(drop_dead(program)) == ["Gemm"]


def test_a_product_reads_the_middle_of_what_was_copied() -> None:
    steps = [ij.CopyMasked(0, 1, (2, 3, 4, 5)), ij.Dot(1, 2, 0)]
    program = drop_dead(forward_copies(program_of([9, 4, 4], steps, width=9, **MATRIX)))
    (gemm,) = program.steps
    assert gemm.source == View(0, 2, 4)


def test_an_id_is_looked_up_where_it_came_from() -> None:
    steps = [ij.CopyMasked(0, 1, (3, 1)), ij.MapTransform(1, 2, 1, 0, 0, 1, (0,))]
    program = program_of([4, 2, 1], steps, width=4, maps=[{1: [1]}])
    (lookup,) = drop_dead(forward_copies(program)).steps
    assert isinstance(lookup, Lookup)
    assert lookup.source == View(0, 1, 1)


def test_a_mask_of_a_mask_is_one_mask() -> None:
    steps = [
        ij.CopyMasked(0, 1, (5, 0, 3, 2)),
        ij.CopyMasked(1, 2, (3, 3, 1)),
        ij.Activate(2, "TANH"),
    ]
    program = drop_dead(fuse(forward_copies(program_of([6, 4, 3], steps, width=6))))
    (step,) = program.steps
    (read,) = reads(step.value)
    assert [read.start + read.index.at(i) for i in range(3)] == [2, 2, 0]


def test_heads_of_heads_are_one_repeat() -> None:
    program = hand_made(
        Map(View(1, 0, 4), Read(0, 0, Index("repeat", every=2))),
        Map(View(2, 0, 12), call("relu", Read(1, 0, Index("repeat", every=3)))),
        regions=(2, 4, 12),
        output=2,
    )
    (step,) = drop_dead(forward_copies(program)).steps
    assert reads(step.value) == (Read(0, 0, Index("repeat", every=6)),)


def test_a_shifted_read_of_heads_finds_the_right_slots() -> None:
    program = hand_made(
        Map(View(1, 0, 12), Read(0, 0, Index("repeat", every=3))),
        Map(View(2, 0, 5), call("relu", Read(1, 4))),
        regions=(4, 12, 5),
        output=2,
    )
    (step,) = drop_dead(forward_copies(program)).steps
    (read,) = reads(step.value)
    assert [read.start + read.index.at(i) for i in range(5)] == [1, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("name", "between", "forwarded"),
    [
        ("nothing", [], True),
        ("another slot of the source is written", [Map(View(0, 6, 1), Read(3, 0))], True),
        ("a slot of the source is written", [Map(View(0, 2, 1), Read(3, 0))], False),
        ("a slot of the copy is written", [Map(View(1, 0, 1), Read(3, 0))], False),
    ],
)
def test_a_copy_is_forwarded_unless_something_is_overwritten(name, between, forwarded) -> None:
    program = hand_made(
        Map(View(3, 0, 1), Read(0, 7)),
        Map(View(1, 0, 4), Read(0, 0)),
        *between,
        Map(View(2, 0, 4), call("tanh", Read(1, 0))),
        regions=(8, 4, 4, 1),
        output=2,
    )
    (read,) = reads(forward_copies(program).steps[-1].value)
    assert read.region == (0 if forwarded else 1)


def test_a_copy_of_part_of_what_is_read_is_not_forwarded() -> None:
    program = hand_made(
        Map(View(1, 0, 2), Read(0, 0)),
        Map(View(1, 2, 2), Read(0, 2)),
        Map(View(2, 0, 4), call("tanh", Read(1, 0))),
        regions=(4, 4, 4),
        output=2,
    )
    assert reads(forward_copies(program).steps[-1].value) == (Read(1, 0, EACH),)


def test_a_step_never_reads_the_region_it_writes() -> None:
    program = hand_made(
        Map(View(1, 0, 4), Read(0, 0)),
        Map(View(0, 0, 4), call("tanh", Read(1, 0))),
        regions=(4, 4),
        output=0,
    )
    assert reads(forward_copies(program).steps[-1].value) == (Read(1, 0, EACH),)


# -- drop_dead -------------------------------------------------------------------------------------


def test_steps_that_nobody_reads_are_dropped() -> None:
    steps = [ij.Dot(0, 1, 0), ij.Copy(0, 2), ij.Activate(1, "TANH"), ij.Activate(2, "RELU")]
    program = drop_dead(program_of([4, 4, 4], steps, width=4, **MATRIX))
    assert kinds(program) == ["Map", "Map"]


def test_slots_that_are_overwritten_first_keep_no_step_alive() -> None:
    def written(*parts: tuple[int, int]) -> list[tuple[int, ...]]:
        steps = [Map(View(1, a, b - a), Read(0, 0), (n,)) for n, (a, b) in enumerate(parts)]
        program = hand_made(*steps, regions=(8, 8), output=1)
        return [step.origin for step in drop_dead(program).steps]

    assert written((0, 4), (0, 8)) == [(1,)]
    assert written((0, 4), (0, 3)) == [(0,), (1,)]
    assert written((0, 4), (0, 2), (2, 4)) == [(1,), (2,)]
    assert written((0, 4), (4, 8), (1, 5)) == [(0,), (1,), (2,)]


def test_only_the_slots_that_are_read_count() -> None:
    program = hand_made(
        Map(View(1, 0, 4), Read(0, 0)),
        Map(View(1, 4, 4), Read(0, 4)),
        Map(View(2, 0, 2), Read(1, 5)),
        regions=(8, 8, 2),
        output=2,
    )
    assert [step.target.start for step in drop_dead(program).steps] == [4, 0]


def test_every_slot_is_alive_where_all_are_asked_for() -> None:
    steps = [ij.Dot(0, 1, 0), ij.Copy(0, 2)]
    for variant, count in (("output", 1), ("slots", 2), ("buffer", 2)):
        program = program_of([4, 4, 4], steps, width=4, variant=variant, **MATRIX)
        assert len(drop_dead(program).steps) == count


# -- reuse_regions ---------------------------------------------------------------------------------


def clobbered(program: Program) -> list[tuple[int, int]]:
    """(step, region) where a slot that is read does not hold what was last written to its region.

    Written from the meaning of a program alone: every write marks its place in scratch as belonging
    to a slot of a region; a read must find its own mark. Steps other than Maps may write before
    they have read all.
    """
    owner: dict[int, tuple[int, int]] = {}
    known: set[tuple[int, int]] = set()
    found = []

    def write(view: View) -> None:
        for slot in range(view.start, view.stop):
            owner[program.offsets[view.region] + slot] = (view.region, slot)
            known.add((view.region, slot))

    def check(number: int, view: View) -> None:
        for slot in range(view.start, view.stop):
            place = program.offsets[view.region] + slot
            if (view.region, slot) in known and owner[place] != (view.region, slot):
                found.append((number, view.region))

    for column in program.loads:
        write(column.view)
    for number, step in enumerate(program.steps):
        for view in step_reads(step):
            check(number, view)
        if isinstance(step, Map):
            found += [(number, region) for region in overwritten_early(program, step)]
            write(step.target)
        else:
            write(step.target)
            for view in step_reads(step):
                check(number, view)
    for column in program.stores:
        check(len(program.steps), column.view)
    return found


def overwritten_early(program: Program, step: Map) -> list[int]:
    """Regions of a Map that an earlier element of it writes over before a later one reads them."""
    first = program.offsets[step.target.region] + step.target.start
    return [
        read.region
        for read in reads(step.value)
        for i in range(step.target.count)
        if first
        <= program.offsets[read.region] + read.start + read.index.at(i)
        < first + step.target.count
        and program.offsets[read.region] + read.start + read.index.at(i) != first + i
    ]


def last_slot(program: Program) -> int:
    """The highest place in scratch that anything touches."""
    columns = [column.view for column in (*program.loads, *program.stores)]
    views = [view for step in program.steps for view in (step.target, *step_reads(step))]
    return max(program.offsets[view.region] + view.stop - 1 for view in columns + views)


@pytest.mark.parametrize("first", range(0, 600, 50))
def test_no_slot_is_written_over_while_it_is_needed(first) -> None:
    for seed in range(first, first + 50):
        model, _ = random_model(seed)
        for variant in VARIANTS:
            for passes in ((reuse_regions,), PASSES, (fuse, forward_copies, reuse_regions)):
                program = apply(lower(model, variant), passes)
                assert clobbered(program) == [], (seed, variant)
                assert last_slot(program) < program.slots


@pytest.mark.parametrize("name", NETS)
def test_no_slot_of_the_nets_is_written_over(name) -> None:
    for variant in VARIANTS:
        assert clobbered(apply(lower(NETS[name](), variant), PASSES)) == []


def test_the_checker_sees_a_slot_that_is_written_over() -> None:
    steps = [ij.Dot(0, 1, 0), ij.Dot(1, 2, 0), ij.AddElementwiseBuffers((1, 2), 3)]
    good = program_of([4, 4, 4, 4], steps, width=4, **MATRIX).laid_out()
    assert clobbered(good) == []
    for offsets in ((0, 0, 4, 8), (0, 4, 4, 8), (0, 4, 5, 9), (0, 4, 8, 9)):
        bad = Program(
            good.regions, good.steps, good.loads, good.stores, 4, 4, offsets=offsets, slots=16
        )
        assert clobbered(bad) != []


def test_layers_share_two_regions() -> None:
    program = apply(lower(dense(*[50] * 9)), PASSES)
    assert program.slots == 50 + 50


def test_a_map_takes_over_the_region_that_dies_in_it() -> None:
    program = hand_made(
        Map(View(1, 0, 4), call("relu", Read(0, 0))),
        Reduce("sum", 4, Read(1, 0), View(3, 0, 1)),
        Map(View(2, 0, 4), call("add", Read(1, 0), Read(3, 0, Index("fixed")))),
        regions=(4, 4, 4, 1),
        output=2,
    )
    laid = reuse_regions(program)
    assert laid.offsets[2] == laid.offsets[1] == laid.offsets[0]
    assert laid.slots == 5


def test_a_map_does_not_take_over_a_region_that_it_reads_out_of_order() -> None:
    backwards = Read(0, 0, Index("gather", slots=(3, 2, 1, 0)))
    program = hand_made(Map(View(1, 0, 4), backwards), regions=(4, 4), output=1)
    laid = reuse_regions(program)
    assert laid.offsets == (0, 4)


# -- all of them -----------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [drop_dead, forward_copies, fuse, reuse_regions])
def test_a_pass_leaves_its_input_alone(step) -> None:
    for seed in range(100):
        program = lower(random_model(seed)[0], VARIANTS[seed % 3])
        before = repr(program)
        first, second = step(program), step(program)
        assert repr(program) == before
        assert first == second


@pytest.mark.parametrize("step", [drop_dead, forward_copies, fuse])
def test_a_pass_has_nothing_to_do_the_second_time(step) -> None:
    for seed in range(100):
        once = step(lower(random_model(seed)[0]))
        assert step(once).steps == once.steps


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_programs_mean_the_same_after_each_pass(first) -> None:
    for seed in range(first, first + 50):
        model, rows = random_model(seed)
        program = lower(model, VARIANTS[seed % 2])
        stages = [program]
        for step in PASSES:
            stages.append(step(stages[-1]))
        results = [run_program(model, stage, rows) for stage in stages]
        for one, other in pairwise(results):
            np.testing.assert_array_equal(one, other)


def test_the_passes_shorten_the_programs() -> None:
    plain = sum(len(lower(random_model(seed)[0]).steps) for seed in range(200))
    passed = sum(len(apply(lower(random_model(seed)[0])).steps) for seed in range(200))
    assert passed < 0.6 * plain
