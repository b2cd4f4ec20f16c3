"""What can go wrong in a node program, each with the exit status the runner reads."""

EXIT_OK = 0
EXIT_BUG = 1
EXIT_BAD_SPEC = 2
EXIT_SERVICE = 3
EXIT_ENDED = 4


class ProgramError(Exception):
    """A failure told to a human in one message on stderr; `exit_code` tells the runner its kind."""

    exit_code = EXIT_SERVICE


class SpecError(ProgramError):
    """The spec, or a file it names, cannot be used; nothing was started."""

    exit_code = EXIT_BAD_SPEC


class ServiceError(ProgramError):
    """Kafka, Spark or the file system did not do what was asked of it."""

    exit_code = EXIT_SERVICE
