"""Wall clocks that step, of one process each; monotonic time goes on, as it does where somebody sets a clock.

libfaketime does the same, but not for a program whose allocator asks for the time while it starts (jemalloc,
and so Redis): its own start allocates.
"""

import subprocess
from pathlib import Path

from tests.needs import need_command

_SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int32_t *seconds;

__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("CLOCK_STEP"), O_RDONLY);
    void *map = mmap(0, sizeof *seconds, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (map != MAP_FAILED) seconds = map;
}

int clock_gettime(clockid_t id, struct timespec *at) {
    int told = syscall(SYS_clock_gettime, id, at);
    if (told == 0 && seconds && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec += *seconds;
    return told;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    int told = clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return told;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


class SteppingClock:
    """The clock of every process that is started with `before` before its command.

    Args:
        folder: for what is compiled.
    """

    def __init__(self, folder: Path) -> None:
        self._file, library = folder / "step", folder / "clock.so"
        self.step(0)
        source = folder / "clock.c"
        source.write_text(_SOURCE)
        command = [need_command("gcc"), "-shared", "-fPIC", "-O1", "-o", str(library), str(source)]
        subprocess.run(command, check=True)
        self.before = ("env", f"LD_PRELOAD={library}", f"CLOCK_STEP={self._file}")

    def step(self, seconds: int) -> None:
        """It is so much ahead of the true time from now on."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(seconds.to_bytes(4, "little", signed=True))
