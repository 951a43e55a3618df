"""A product and a sum with one rounding, as processors have it and torch's compiler takes it. Numba has none.

Here is also how the kernels are compiled. Numba does not notice a change in this file when it looks for a compiled
kernel in its cache: the kernels' own files have to change with it.
"""

from numba import njit, types
from numba.extending import intrinsic

inline = njit(nogil=True, error_model="numpy")              # called by kernels of the same file, compiled into them
kernel = njit(nogil=True, error_model="numpy", cache=True)  # without fastmath; other threads run meanwhile


@intrinsic
def fma(typing, a, b, c):
    """a·b + c of three float32."""
    return types.float32(types.float32, types.float32, types.float32), lambda _, builder, __, args: builder.fma(*args)
