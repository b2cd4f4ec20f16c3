"""How many threads numerical libraries may use; must be said before NumPy is imported."""

import os

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def limit(count: int) -> None:
    """Let BLAS use `count` threads in this process, if NumPy is not loaded yet."""
    for name in VARIABLES:
        os.environ[name] = str(count)
