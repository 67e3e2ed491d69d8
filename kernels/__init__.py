"""CPU back end: Program -> Source -> Numba functions."""

if __name__ != "instjit.kernels":
    raise ImportError("import instjit.kernels, not kernels")
