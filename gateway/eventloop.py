"""Where code runs that may take long at start, and must not later."""

import asyncio


def on_event_loop() -> bool:
    """Whether an event loop runs on this thread, which must not be kept."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
