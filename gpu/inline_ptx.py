"""Tensor cores for the generated text: primitives of one PTX instruction each, as inline assembly.

Numba has none of them. They are there from compute capability 8.0 on. ``pack_bf16`` and ``tf32``
round one lane's numbers, ``mma_bf16`` and ``mma_tf32`` multiply for a warp.
"""

from __future__ import annotations

from typing import Any

MMA_BF16 = "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"
MMA_TF32 = "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32"
PACK_BF16 = "cvt.rn.bf16x2.f32"
TO_TF32 = "cvt.rna.tf32.f32"

OPERANDS = " {$0, $1, $2, $3}, {$4, $5, $6, $7}, {$8, $9}, {$10, $11, $12, $13};"
CONSTRAINTS = "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f"


def namespace() -> dict[str, Any]:
    """The primitives by name, for ``native.namespace``."""
    made = intrinsic()
    return {
        "mma_bf16": made(_product(MMA_BF16)),
        "mma_tf32": made(_product(MMA_TF32)),
        **_conversions(made),
    }


def intrinsic() -> Any:
    """What makes a function of LLVM code of a description, for either CUDA target."""
    from numba import cuda

    if cuda.implementation == "NVIDIA":
        from numba.cuda.extending import intrinsic as made
    else:
        from numba.core.extending import intrinsic as made
    return made


def _product(instruction: str) -> Any:
    """``mma(a0 .. a3, b0, b1, c0 .. c3)``: four sums; operands are words of 32 bits.

    The assembly has side effects and is convergent, which it is not as arithmetic: a compiler may
    then not move it to where its result is used, which only some lanes may come to.
    """
    from llvmlite import ir
    from numba import float32, int32, types

    def code(context: Any, builder: Any, signature: Any, operands: Any) -> Any:
        result = ir.LiteralStructType([ir.FloatType()] * 4)
        kind = ir.FunctionType(result, [operand.type for operand in operands])
        assembly = ir.InlineAsm(kind, instruction + OPERANDS, CONSTRAINTS, side_effect=True)
        sums = builder.call(assembly, operands, attrs=("convergent", "nounwind"))
        parts = [builder.extract_value(sums, r) for r in range(4)]
        return context.make_tuple(builder, signature.return_type, parts)

    def mma(
        typing: Any, a0: Any, a1: Any, a2: Any, a3: Any, b0: Any, b1: Any,
        c0: Any, c1: Any, c2: Any, c3: Any,
    ) -> Any:  # fmt: skip
        sums = types.UniTuple(float32, 4)
        return sums(*[int32] * 6, *[float32] * 4), code

    return mma


def _conversions(intrinsic: Any) -> dict[str, Any]:
    from llvmlite import ir
    from numba import float32, int32

    def assembly(builder: Any, text: str, operands: Any) -> Any:
        constraints = ",".join(["=r", *["f"] * len(operands)])
        kind = ir.FunctionType(ir.IntType(32), [ir.FloatType()] * len(operands))
        return builder.call(ir.InlineAsm(kind, text, constraints, side_effect=False), operands)

    def pack_bf16(typing: Any, low: Any, high: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, operands: Any) -> Any:
            # PTX names the upper half first
            return assembly(builder, f"{PACK_BF16} $0, $2, $1;", operands)

        return int32(float32, float32), code

    def tf32(typing: Any, a: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, operands: Any) -> Any:
            return assembly(builder, f"{TO_TF32} $0, $1;", operands)

        return int32(float32), code

    return {"pack_bf16": intrinsic(pack_bf16), "tf32": intrinsic(tf32)}
