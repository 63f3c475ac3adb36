"""Which signals end a process in good order."""

import signal


def ending_signals() -> tuple[signal.Signals, ...]:
    """Those that begin a drain. SIGHUP, of a terminal that closes, unless `nohup` has had it ignored."""
    hung_up = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    return (signal.SIGTERM, signal.SIGINT, *hung_up)
