"""Two things that the processor can do and Numba has no word for."""

from numba import njit, types
from numba.core.cgutils import ir  # numba's way of writing LLVM instructions
from numba.extending import intrinsic


@intrinsic
def _prefetch(typing, address):
    """Start fetching the cache line at an address (int64). Results never depend on it, and any address will do."""

    def generate(context, builder, signature, arguments):
        pointer, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), (pointer, flag, flag, flag))
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", (pointer,), kind)
        where = builder.inttoptr(arguments[0], pointer)
        builder.call(prefetch, (where, flag(0), flag(2), flag(1)))  # to read; into the second-level cache; data
        return context.get_dummy_value()

    return types.void(types.intp), generate


@njit(cache=True)
def ask_for(address, count):
    """Start fetching `count` bytes from an address on."""
    for offset in range(0, count, 64):  # a cache line
        _prefetch(address + offset)


@intrinsic
def _bits_in_order(typing, value, last):
    """`order_key` of a value to which 0 was added."""
    whole = {types.float32: types.uint32, types.float64: types.uint64}[value]

    def generate(context, builder, signature, arguments):
        kind = ir.IntType(whole.bitwidth)
        bits = builder.bitcast(arguments[0], kind)
        negative = builder.ashr(bits, kind(whole.bitwidth - 1))  # all ones, or all zeros
        flipped = builder.xor(bits, builder.or_(negative, kind(1 << (whole.bitwidth - 1))))
        return builder.or_(flipped, builder.sext(arguments[1], kind))

    return whole(value, types.int8), generate


@njit(cache=True)
def order_key(value, last):
    """An unsigned integer that sorts as a float32 or float64 does: the compiler can then compare many at once.

    Both zeros have one key. last: int8; -1 gives the largest key there is, larger than infinity's, and 0 changes
    nothing.
    """
    return _bits_in_order(value + type(value)(0), last)  # -0.0 + 0.0 is 0.0
