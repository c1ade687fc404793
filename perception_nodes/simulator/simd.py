"""Two tests of sixteen rays at once, written in LLVM's vector types so that they are SIMD wherever there is any.

A `packet` is float32 [10, 16], C order, as packets.py describes it. Arithmetic is plain IEEE float32 without
contraction: each lane gets the bits of scalar code.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic

LANES = 16  # two AVX2 registers: a node's loads and branches serve twice as many rays as with one
_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_OX, _DX, _IX, _LIMIT = 0, 3, 6, 9


class _Emitter:
    """Vector code for one call: rows of the packet, splats of scalars, min and max as compare and select."""

    def __init__(self, context, builder, packet_type, packet) -> None:
        array = context.make_array(packet_type)(context, builder, packet)
        self.builder = builder
        self.data = builder.bitcast(array.data, _VECTOR.as_pointer())

    def row(self, number: int):
        place = self.builder.gep(self.data, [ir.Constant(ir.IntType(32), number)])
        return self.builder.load(place, align=4)

    def splat(self, scalar):
        lane = ir.Constant(ir.IntType(32), 0)
        one = self.builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), scalar, lane)
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return self.builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), mask)

    def constant(self, value: float):
        return ir.Constant(_VECTOR, [value] * LANES)

    def smaller(self, a, b):
        return self.builder.select(self.builder.fcmp_ordered("<", a, b), a, b)

    def larger(self, a, b):
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def cross(self, a, b):
        mul, sub = self.builder.fmul, self.builder.fsub
        return [
            sub(mul(a[1], b[2]), mul(a[2], b[1])),
            sub(mul(a[2], b[0]), mul(a[0], b[2])),
            sub(mul(a[0], b[1]), mul(a[1], b[0])),
        ]

    def dot(self, a, b):
        mul, add = self.builder.fmul, self.builder.fadd
        return add(add(mul(a[0], b[0]), mul(a[1], b[1])), mul(a[2], b[2]))

    def lanes(self, flags):
        """<16 x i1> as an int32 mask."""
        bits = self.builder.bitcast(flags, ir.IntType(LANES))
        return self.builder.zext(bits, ir.IntType(32))


def _check(packet, *scalars) -> None:
    if not (isinstance(packet, types.Array) and packet.ndim == 2 and packet.layout == "C"):
        raise TypingError(f"packet is {packet}; expected a float32 array of two dimensions in C order")
    if packet.dtype != types.float32 or any(s != types.float32 for s in scalars):
        raise TypingError("packets and their boxes and triangles are float32")


def _boxes_met(typingctx, packet, x0, y0, z0, x1, y1, z1):
    """int32 mask of the rays that meet the box (low, high) before their limit."""
    _check(packet, x0, y0, z0, x1, y1, z1)

    def codegen(context, builder, signature, args):
        emit = _Emitter(context, builder, signature.args[0], args[0])
        low, high = args[1:4], args[4:7]
        near, far = emit.constant(0.0), emit.row(_LIMIT)
        for axis in range(3):
            origin, inverse = emit.row(_OX + axis), emit.row(_IX + axis)
            a = builder.fmul(builder.fsub(emit.splat(low[axis]), origin), inverse)
            b = builder.fmul(builder.fsub(emit.splat(high[axis]), origin), inverse)
            near = emit.larger(emit.smaller(a, b), near)
            far = emit.smaller(emit.larger(a, b), far)
        # the slab test may round the wrong way on flat boxes; a hair of slack keeps every hit
        slack = builder.fmul(far, emit.constant(1.000001))
        return emit.lanes(builder.fcmp_ordered("<=", near, slack))

    return types.int32(packet, x0, y0, z0, x1, y1, z1), codegen


def _triangles_met(typingctx, packet, ax, ay, az, ux, uy, uz, vx, vy, vz):
    """int32 mask of the rays that meet the triangle (a corner, two edges; two-sided) before their limit."""
    _check(packet, ax, ay, az, ux, uy, uz, vx, vy, vz)

    def codegen(context, builder, signature, args):
        emit = _Emitter(context, builder, signature.args[0], args[0])
        origin = [emit.row(_OX + i) for i in range(3)]
        way = [emit.row(_DX + i) for i in range(3)]
        corner, e1, e2 = ([emit.splat(s) for s in args[i : i + 3]] for i in (1, 4, 7))
        p = emit.cross(way, e2)
        inverse = builder.fdiv(emit.constant(1.0), emit.dot(e1, p))
        s = [builder.fsub(o, c) for o, c in zip(origin, corner)]
        u = builder.fmul(emit.dot(s, p), inverse)
        q = emit.cross(s, e1)
        v = builder.fmul(emit.dot(way, q), inverse)
        t = builder.fmul(emit.dot(e2, q), inverse)
        least, most = emit.constant(-1e-5), emit.constant(1.0 + 1e-5)
        inside = builder.and_(builder.fcmp_ordered(">=", u, least), builder.fcmp_ordered(">=", v, least))
        inside = builder.and_(inside, builder.fcmp_ordered("<=", builder.fadd(u, v), most))
        inside = builder.and_(inside, builder.fcmp_ordered(">", t, emit.constant(1e-4)))
        return emit.lanes(builder.and_(inside, builder.fcmp_ordered("<", t, emit.row(_LIMIT))))

    return types.int32(packet, ax, ay, az, ux, uy, uz, vx, vy, vz), codegen


boxes_met: Any = intrinsic(_boxes_met)
triangles_met: Any = intrinsic(_triangles_met)
