"""The text that finds a lookup's row: float id -> int32 key -> directly indexed or binary search.

The arithmetic and the order are those of ``instjit.kernels.search``; a directory's entries are
described at ``instjit.kernels.packing.DIRECTORY``.
"""

from __future__ import annotations

LOOKUP = '''\
def key_of(identity):
    """Round half away from zero, saturate to int32, NaN -> 0."""
    whole = trunc(identity)
    away = select(identity < f32(0.0), f32(-1.0), f32(1.0))
    half = absolute(sub(identity, whole)) >= f32(0.5)
    rounded = select(half, add(whole, away), whole)
    key = i64(to_int(select(absolute(rounded) < f32(2147483648.0), rounded, f32(0.0))))
    if rounded >= f32(2147483648.0):
        key = i64(2147483647)
    if rounded <= f32(-2147483648.0):
        key = i64(-2147483648)
    return key


def row_at(identity, directory, size, n):
    """Place in k of the values of the id's row, or of the default where the key is absent."""
    key = key_of(identity)
    first = i64(n[directory + 2])
    span = i64(n[directory + 3])
    row = i64(0)
    if span > 0:
        if key >= first and key - first < span:
            row = i64(n[i64(n[directory + 4]) + key - first])
    else:
        keys = i64(n[directory])
        count = i64(n[directory + 1])
        low = i64(0)
        high = count
        while low < high:
            middle = (low + high) // 2
            if i64(n[keys + middle]) < key:
                low = middle + 1
            else:
                high = middle
        if low < count and i64(n[keys + low]) == key:
            row = low + 1
    if row == 0:
        return i64(n[directory + 6])
    return i64(n[directory + 5]) + (row - 1) * size
'''
