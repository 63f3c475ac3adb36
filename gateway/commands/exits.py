"""How a command ends: its exit codes, and the one error that becomes one line on standard error."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell gets; each value's meaning is `MEANINGS[code]`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    LOST = 5
    INCOMPLETE = 6
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "everything worked",
    ExitCode.FAILED: "load: a session or an observer failed, or --expect did not hold",
    ExitCode.USAGE: "wrong usage, wrong settings, or a file that cannot be used",
    ExitCode.UNREACHABLE: "no gateway, or no store, answers at that address",
    ExitCode.REFUSED: "the gateway refused; its reason and what to do are printed",
    ExitCode.LOST: "the connection was lost before the end",
    ExitCode.INCOMPLETE: "a recording was not analysed whole; the gaps say which",
    ExitCode.INTERRUPTED: "stopped with Ctrl-C; sessions were ended properly where possible",
    ExitCode.BROKEN_PIPE: "the program reading our output went away",
    ExitCode.TERMINATED: "stopped by SIGTERM, as with Ctrl-C",
}


class CommandError(Exception):
    """An error a user can do something about: a line for what is wrong, and one for what to do."""

    def __init__(self, message: str, *, hint: str | None = None, code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code

    def lines(self) -> list[str]:
        """What to print on standard error, without a traceback."""
        told = f"undertone: {self.message}".splitlines()
        return [*told, f"  {self.hint}"] if self.hint else told
