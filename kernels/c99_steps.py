"""Each kind of step but Gemm as C99 statements, and a row's way into scratch and out of it."""

from __future__ import annotations

from instjit.kernels.c99_functions import called
from instjit.kernels.c99_values import Form, Lines, assigned, loop, plus
from instjit.kernels.located import Located
from instjit.kernels.packing import DIRECTORY
from instjit.program import PARTIALS, partials

PLACE = f"""\
/* The place in k of the size values of the key nearest to identity (halves away from zero,
   saturated, NaN as 0), or of the default where it is absent. */
static ptrdiff_t ij_place_of(float identity, ptrdiff_t size, const int32_t *entry, const int32_t *n)
{{
    const int32_t *keys = n + entry[0], *dense = n + entry[4];
    const int64_t first = entry[2], span = entry[3];
    int64_t key = 0, row = 0;
    if (identity >= 0x1p+31f) {{
        key = INT32_MAX;
    }} else if (identity <= -0x1p+31f) {{
        key = INT32_MIN;
    }} else if (identity == identity) {{
        const float rest = identity - (float)(int32_t)identity;
        key = (int64_t)(int32_t)identity + (rest >= 0x1p-1f) - (rest <= -0x1p-1f);
    }}
    if (span > 0) {{
        if (key >= first && key - first < span)
            row = dense[key - first];
    }} else {{
        ptrdiff_t low = 0, high = entry[1];
        while (low < high) {{
            const ptrdiff_t middle = low + (high - low) / 2;
            if (keys[middle] < key)
                low = middle + 1;
            else
                high = middle;
        }}
        if (low < entry[1] && keys[low] == key)
            row = low + 1;
    }}
    return row ? entry[5] + (ptrdiff_t)(row - 1) * size : entry[{DIRECTORY - 1}];
}}
"""

OPERATION = {"sum": "add", "maximum": "maximum"}


def map_lines(form: Form, count: int, target: int, value: Located) -> Lines:
    """``target[i] = value(i)``."""
    lines = assigned(form, value, "i", f"s[{form.place(target, 'i')}]")
    return loop("i", count, form.each_row(lines))


def reduce_lines(form: Form, kind: str, count: int, target: int, value: Located) -> Lines:
    """Interleaved partial results in ``t`` as [partial][row of the tile], joined by halves."""
    parts, lanes = partials(count), form.lanes
    if not parts:
        return
    part = "t[p]" if lanes == 1 else f"t[p * {lanes} + lane]"
    yield f"float t[{parts * lanes}];"
    yield from loop("p", parts, form.each_row(assigned(form, value, "p", part)))
    whole = count // PARTIALS * PARTIALS
    if whole > PARTIALS:
        more = _taken(form, kind, value, "first + p", part)
        every = loop("p", PARTIALS, form.each_row(more))
        yield from loop("first", whole, every, str(PARTIALS), PARTIALS)
    if whole and whole < count:
        last = _taken(form, kind, value, plus(whole, "p"), part)
        yield from loop("p", count - whole, form.each_row(last))
    half = PARTIALS // 2
    while half:
        pairs = max(0, min(half, parts - half)) * lanes
        if pairs:
            yield from loop("j", pairs, [_joined(kind, "t[j]", f"t[{half * lanes} + j]")])
        half //= 2
    first = "t[0]" if lanes == 1 else "t[lane]"
    yield from form.each_row([f"s[{form.place(target)}] = {first};"])


def _taken(form: Form, kind: str, value: Located, i: str, part: str) -> list[str]:
    return [*assigned(form, value, i, "const float one"), _joined(kind, part, "one")]


def _joined(kind: str, a: str, b: str) -> str:
    name = OPERATION[kind]
    return f"{a} = {a} + {b};" if name == "add" else f"{a} = {called(name)}({a}, {b});"


def lookup_lines(form: Form, size: int, directory: int, source: int, target: int) -> Lines:
    """Find the row of the key, copy it."""
    identity = f"s[{form.place(source)}]"
    found = f"const ptrdiff_t at = ij_place_of({identity}, {size}, n + {directory}, n);"
    copied = loop("i", size, [f"s[{form.place(target, 'i')}] = k[at + i];"])
    return form.each_row([found, *copied])


TAKE = """\
/* Some columns of the rows of x, `width` floats each, to slots; the last row once more for each
   that is missing. */
static void ij_take(const float *restrict x, ptrdiff_t width, ptrdiff_t rows, ptrdiff_t count,
    float *restrict s)
{{
    for (ptrdiff_t i = 0; i < count; i++) {{
        if (rows == {lanes}) {{
            for (ptrdiff_t lane = 0; lane < {lanes}; lane++) {{
                s[i * {lanes} + lane] = x[lane * width + i];
            }}
        }} else {{
            for (ptrdiff_t lane = 0; lane < {lanes}; lane++) {{
                s[i * {lanes} + lane] = x[(lane < rows ? lane : rows - 1) * width + i];
            }}
        }}
    }}
}}
"""

GIVE = """\
/* Slots to some columns of the rows of y, `width` floats each. */
static void ij_give(const float *restrict s, ptrdiff_t width, ptrdiff_t rows, ptrdiff_t count,
    float *restrict y)
{{
    for (ptrdiff_t lane = 0; lane < rows; lane++) {{
        for (ptrdiff_t i = 0; i < count; i++) {{
            y[lane * width + i] = s[i * {lanes} + lane];
        }}
    }}
}}
"""
