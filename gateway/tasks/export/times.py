"""Where samples lie in time, in the notations of the formats.

Every time is rounded from its own sample index, never added up: nothing drifts, however long a session is,
and stretches that touch in samples touch in milliseconds.
"""

from datetime import UTC, datetime


def milliseconds(sample: int, rate: int) -> int:
    """The millisecond nearest to `sample` at `rate` hertz; halves go up."""
    return _nearest(sample, rate, 1_000)


def timecode(ms: int, point: str = ".") -> str:
    """`ms` milliseconds as `HH:MM:SS.mmm`, with more digits for the hours where they are needed."""
    seconds, ms = divmod(ms, 1_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{ms:03}"


def decimal(sample: int, rate: int, places: int = 3) -> str:
    """Seconds of `sample` samples with exactly `places` decimals."""
    scale = 10**places
    whole, part = divmod(_nearest(sample, rate, scale), scale)
    return f"{whole}.{part:0{places}}"


def date(seconds: float) -> str:
    """Seconds since the Unix epoch as ISO 8601, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _nearest(sample: int, rate: int, scale: int) -> int:
    return (2 * max(sample, 0) * scale + rate) // (2 * rate)
