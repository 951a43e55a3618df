"""A hint to the processor that some memory will be needed soon. Numba has none of its own."""

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
