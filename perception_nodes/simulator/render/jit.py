"""How the renderer's functions are compiled: cached, without the GIL, IEEE division; products may be fused into sums.

Every pixel runs the same machine code whichever thread draws its row, so results do not depend on threads.
"""

from numba import njit

kernel = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
