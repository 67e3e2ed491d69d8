"""GPU back end. Holds no code yet."""

if __name__ != "instjit.gpu":
    raise ImportError("import instjit.gpu, not gpu")
