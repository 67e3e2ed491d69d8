"""Speed against other runtimes. ``python -m bench`` prints ratios, ``pytest bench`` times changes.

How ``python -m bench`` measures: each contestant has a process of its own for each net, which is
stopped by a signal while it is not at its turn. For each batch it tries its settings (one thread,
all of them, parts of the rows in as many threads) and chunks of rows from 64 to the whole batch,
each for a few milliseconds, and keeps the fastest pair. Then come rounds, in turn, every second
one backwards: an untimed pass over one input and a timed one over another, repeated for 10 ms.
Memory is bound beforehand where the library allows; a library that makes its own result keeps it
where one call makes all of it. The output is filled with NaN before a pass and compared in full
with a float64 evaluation after it. The ratio is the median over the rounds of a peer's time over
instjit's in the same one.
Of batches beyond 256 MiB or 60 GFLOP a part is timed, and the time is scaled.

Look-ups: peers index a table with a row for every integer between the least and the largest key,
after clipping the id, which is shorter than any search.

Memory is the growth of the resident set over a pass at the chosen setting, from a freshly built
peer that has run one row: input and output are there before.
"""
