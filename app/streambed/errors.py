"""The one exception that reaches a user: what happened, where, and what to do."""


class StreambedError(Exception):
    """A failure a user can understand and act on; the CLI prints it without a stack trace.

    Args:
        message: what happened and where (file, line, value, what is allowed).
        hint: what to do next; a command where there is one.
        exit_code: the process's exit status, never 0.
    """

    def __init__(self, message: str, *, hint: str = "", exit_code: int = 1) -> None:
        if exit_code == 0:
            raise ValueError("an error cannot end in exit status 0")
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
