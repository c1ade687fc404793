"""How the renderer's functions are compiled: without the GIL, IEEE division; products may be fused into sums.

Every pixel runs the same machine code whichever thread draws its row, so results do not depend on threads. A `kernel`
is called from Python and cached on disk with everything that it calls; a `helper` is called by kernels only and gets no
entry point of its own, which saves time to compile.
"""

from numba import njit

_FUSED = {"contract", "nsz", "arcp"}
kernel = njit(cache=True, nogil=True, error_model="numpy", fastmath=_FUSED)
helper = njit(  # type: ignore[call-overload]  # numba's stubs leave these options out
    nogil=True, error_model="numpy", fastmath=_FUSED, no_cpython_wrapper=True, no_cfunc_wrapper=True
)
