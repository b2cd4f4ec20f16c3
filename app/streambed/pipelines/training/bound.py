"""`python -m streambed.pipelines.training.bound COMMAND…`: run a command that dies with its parent.

What `setpriv --pdeathsig` does, which cannot run here: it sets capabilities too, and the sandbox of
Spark's worker refuses that call. Standard library only, as a rank starts through it.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(command: list[str]) -> None:
    """Become the command; the kernel kills it when the thread that started us is gone.

    Raises:
        OSError: the kernel refuses, or there is no such program.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
