"""A set of slots behaves as a set, whatever it holds inside."""

from __future__ import annotations

import numpy as np
import pytest

from instjit.slot_set import SlotSet


@pytest.mark.parametrize("seed", range(40))
def test_it_agrees_with_a_plain_set(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 12))
    slots, wanted = SlotSet(size), set()
    for _ in range(30):
        start, stop = sorted(rng.integers(0, size + 1, 2).tolist())
        if rng.random() < 0.2:
            start, stop = 0, size
        run = set(range(start, stop))
        if rng.random() < 0.5:
            slots.add(start, stop)
            wanted |= run
        else:
            slots.remove(start, stop)
            wanted -= run
        low, high = sorted(rng.integers(0, size + 1, 2).tolist())
        asked = set(range(low, high))
        assert slots.any(low, high) == bool(wanted & asked)
        assert {i for a, b in slots.missing(low, high) for i in range(a, b)} == asked - wanted
        assert {i for a, b in slots.runs() for i in range(a, b)} == wanted


def test_whole_regions_of_a_million_slots_take_no_memory() -> None:
    many = [SlotSet(1_000_000) for _ in range(10_000)]
    for slots in many:
        slots.add(0, 1_000_000)
        slots.remove(0, 1_000_000)
    assert not any(slots.any(0, 1_000_000) for slots in many)
