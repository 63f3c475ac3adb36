"""Whether a history adds up: nothing lost silently, nothing twice, every end explained.

`audit` returns what is wrong, sentence by sentence. Each rule is a promise of docs/protocol.md, and looks at
it from outside: only at what one client said and heard. Rules that need everything heard (sums) are silent
about a session whose `welcome` told that events are missing.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TypeGuard

from protocol.backlog import BACKLOG_S
from protocol.close import CloseCode, Reconnect, reconnect
from protocol.errors import ErrorCode
from protocol.events import (
    ClassifiedEvent,
    Drain,
    DurableEvent,
    Error,
    Flow,
    Gap,
    GapReason,
    Summary,
    Transcript,
    Welcome,
)
from tests.chaos.history import Closed, History, Sent, Skipped, Visit

Span = tuple[int, int]
"""The first sample, and the one after the last."""
Rule = Callable[[History], Iterator[str]]

_OWN = range(4000, 5000)
"""Close codes that are the application's."""


def audit(history: History) -> list[str]:
    """Every promise that was broken, by the name of its rule; none where all is well."""
    return [f"{name}: {broken}" for name, rule in RULES.items() for broken in rule(history)]


# What is known ---------------------------------------------------------------------------------------------


def told(history: History) -> list[DurableEvent]:
    """Every durable event of the session's last epoch, once, in order."""
    epochs = [visit.welcome.epoch for visit in history.visits if visit.welcome is not None]
    known: dict[int, DurableEvent] = {}
    for visit in history.visits:
        if visit.welcome is not None and visit.welcome.epoch == epochs[-1]:
            known |= {event.seq: event for event in visit.durable}
    return [known[seq] for seq in sorted(known)]


def missed(history: History) -> int:
    """Events of that epoch that were said before the last one heard, and never heard themselves."""
    events = told(history)
    return events[-1].seq - len(events) if events else 0


def summary_of(history: History) -> Summary | None:
    """The closing account, if it was heard."""
    return next((event for event in told(history) if isinstance(event, Summary)), None)


def gap_samples(history: History, reason: GapReason | None = None) -> int:
    """Samples that were declared as gaps, for any reason or for one."""
    return sum(gap.end_sample - gap.start_sample for gap in _gaps(history) if reason in (None, gap.reason))


def _gaps(history: History) -> list[Gap]:
    return [event for event in told(history) if isinstance(event, Gap)]


def _joined(history: History) -> list[tuple[Visit, Welcome]]:
    return [(visit, visit.welcome) for visit in history.visits if visit.welcome is not None]


def _whole(history: History) -> bool:
    """Whether every event there was has been heard, from the first to the summary.

    What was evicted from the log just before the end leaves no hole in the numbers, but `welcome` counts it.
    """
    events = told(history)
    said = max((welcome.next_seq - 1 for _, welcome in _joined(history)), default=0)
    return bool(events) and not missed(history) and events[-1].seq >= said


# The rules -------------------------------------------------------------------------------------------------


def opens_with_welcome(history: History) -> Iterator[str]:
    """The first event is `welcome`, once, or the fatal error that refuses; nothing is said before."""
    for number, visit in enumerate(history.visits):
        for place, event in enumerate(visit.events):
            if place == 0 and not (isinstance(event, Welcome) or (isinstance(event, Error) and event.fatal)):
                yield f"socket {number} began with {event.type}"
            if place > 0 and isinstance(event, Welcome):
                yield f"socket {number} was welcomed twice"
        if visit.welcome is None and any(isinstance(one, Sent | Skipped) for one in visit.story):
            yield f"audio went over socket {number} without a welcome"


def numbers_in_order(history: History) -> Iterator[str]:
    """On each socket `seq` goes on from what the client has, without a hole or a repeat."""
    for number, (visit, welcome) in enumerate(_joined(history)):
        due = _first_due(visit, welcome)
        for event in visit.durable:
            if event.seq != due:
                yield f"on socket {number} event {event.seq} came where {due} was due"
            due = event.seq + 1


def tells_what_is_replayed(history: History) -> Iterator[str]:
    """`recovered`, `replay_from`, `replay_to` and `next_seq` agree, and answer what was asked."""
    for number, (visit, welcome) in enumerate(_joined(history)):
        due, top = _first_due(visit, welcome), welcome.next_seq - 1
        replay = (welcome.replay_from, welcome.replay_to)
        if replay != ((due, top) if due <= top else (None, None)):
            yield f"socket {number} replays {replay} where {due} to {top} is due"
        if visit.after is None:
            continue
        same = visit.epoch in (None, welcome.epoch)
        if welcome.recovered and not same:
            yield f"socket {number} recovered events of another epoch"
        if welcome.recovered and visit.after > top:
            yield f"socket {number} recovered the future after {visit.after}"
        if same and not welcome.recovered and visit.after <= top and due <= visit.after + 1:
            yield f"socket {number} tells of a loss where there is none"


def asks_for_the_rest(history: History) -> Iterator[str]:
    """The client comes back with the last event and the epoch that it has heard of."""
    last, epoch = None, None
    for number, visit in enumerate(history.visits):
        if epoch is not None and (visit.after, visit.epoch) != (last, epoch):
            yield f"socket {number} asked for what follows {visit.after}, and {last} was the last heard"
        if visit.welcome is not None:
            if visit.welcome.epoch != epoch:
                last, epoch = visit.after if visit.epoch == visit.welcome.epoch else 0, visit.welcome.epoch
            if not visit.welcome.recovered and (last or 0) >= visit.welcome.next_seq:
                last = _first_due(visit, visit.welcome) - 1
            last = max([last or 0, *(event.seq for event in visit.durable)])


def goes_on_where_it_was(history: History) -> Iterator[str]:
    """`welcome.next_sample` never goes ahead of what was sent, nor back: where the session did not `move` to
    another node, behind what was confirmed; else so far behind it that the client can't go on from there."""
    known, said, epoch = 0, 0, None
    for number, (visit, welcome) in enumerate(_joined(history)):
        if welcome.epoch == epoch:
            width = BACKLOG_S * welcome.audio.sample_rate if history.moves else 0
            if welcome.next_sample < known - width:
                yield f"socket {number} goes on at {welcome.next_sample}, but {known} was reached before"
            if welcome.next_sample > said:
                yield f"socket {number} goes on at {welcome.next_sample}, but only {said} was sent"
        else:
            known = said = 0
        epoch = welcome.epoch
        known = max([known, welcome.next_sample, *map(_reached, visit.events)])
        said = max(said, visit.said_to)
        if known > said:
            yield f"on socket {number} the server has {known} samples, but only {said} were sent"


def samples_keep_their_index(history: History) -> Iterator[str]:
    """What is sent, and sent again, is the audio of the indices under which it is sent."""
    for number, visit in enumerate(history.visits):
        for one in visit.story:
            if isinstance(one, Sent) and not one.true:
                yield f"socket {number} sent other samples as {one.start} to {one.end}"


def gaps_are_exact(history: History) -> Iterator[str]:
    """No gap is empty, none overlaps another, those of one reason come in the order of their samples."""
    last: dict[GapReason, int] = {}
    for gap in _gaps(history):
        if not 0 <= gap.start_sample < gap.end_sample:
            yield f"a gap from {gap.start_sample} to {gap.end_sample}"
        if gap.start_sample < last.get(gap.reason, 0):
            yield f"the {gap.reason} gap at {gap.start_sample} comes after a later one"
        last[gap.reason] = gap.end_sample
    spans = sorted((gap.start_sample, gap.end_sample) for gap in _gaps(history))
    for (_, end), (start, _) in pairwise(spans):
        if start < end:
            yield f"two gaps have sample {start}"
    summary = summary_of(history)
    if summary is not None and spans and spans[-1][1] > summary.next_sample:
        yield f"a gap ends at {spans[-1][1]}, the session at {summary.next_sample}"


def heard_or_gap(history: History) -> Iterator[str]:
    """No sample is in two windows, and none that was heard is in a gap."""
    heard = {_span(event) for event in told(history) if _is_of_a_window(event)}
    spans = sorted([*((*span, "heard") for span in heard), *((*_span(gap), "gap") for gap in _gaps(history))])
    for (_, end, what), (start, _, other) in pairwise(spans):
        if start < end and "heard" in (what, other):
            yield f"sample {start} is {what} and {other}"


def lost_is_declared(history: History) -> Iterator[str]:
    """What the client passed over, as far as the server came, is exactly what it was declared to have."""
    if not _whole(history):
        return
    joined = _joined(history)
    summary = summary_of(history)
    final = summary.next_sample if summary is not None else None
    passed: list[Span] = []
    for (visit, welcome), following in zip(joined, [*joined[1:], None], strict=True):
        reached = following[1].next_sample if following is not None else final
        passed += [
            (max(one.start, welcome.next_sample), one.end if reached is None else min(one.end, reached))
            for one in visit.story
            if isinstance(one, Skipped)
        ]
    reasons = (GapReason.CLIENT, GapReason.FAILOVER) if history.moves else (GapReason.CLIENT,)
    declared = _union([_span(gap) for gap in _gaps(history) if gap.reason in reasons])
    if declared != _union(passed):
        yield f"passed over {_union(passed)}, declared {declared}"


def account_balances(history: History) -> Iterator[str]:
    """`next = classified + gap + pending`, `received = next - client gap`; at each look and in the end."""
    summary = summary_of(history)
    final = [] if summary is None else [{name: getattr(summary, name) for name in _COUNTS}]
    for counts in [*history.counts, *final]:
        following, classified, gap, client, received, pending = (counts[name] for name in _COUNTS)
        if following != classified + gap + pending or received != following - client:
            yield f"unbalanced: {dict(counts)}"
        if min(classified, client, pending, gap - client) < 0:
            yield f"less than nothing: {dict(counts)}"


def summary_is_true(history: History) -> Iterator[str]:
    """The closing account is that of the events that were told, and nothing was said after it."""
    summary = summary_of(history)
    if summary is None:
        return
    events = told(history)
    if events[-1] is not summary:
        yield f"{events[-1].type} after summary"
    if summary.pending_samples:
        yield f"{summary.pending_samples} samples are pending for ever"
    if not _whole(history):
        return
    if summary.gap_samples != gap_samples(history):
        yield f"{summary.gap_samples} samples in gaps, but {gap_samples(history)} were declared"
    if summary.client_gap_samples != gap_samples(history, GapReason.CLIENT):
        yield f"{summary.client_gap_samples} samples in client gaps, but others were declared"
    counted = Counter(event.type for event in events)
    if dict(summary.events) != counted:
        yield f"events told: {dict(counted)}, counted: {dict(summary.events)}"


def flow_is_true(history: History) -> Iterator[str]:
    """`flow` never goes back on one socket, and never counts more than came in."""
    for number, visit in enumerate(history.visits):
        flows = [event for event in visit.events if isinstance(event, Flow)]
        for before, after in pairwise(flows):
            if after.received < before.received or after.classified < before.classified:
                told = [(one.received, one.classified) for one in (before, after)]
                yield f"flow went back on socket {number}: {told}"
        if any(flow.classified > flow.received for flow in flows):
            yield f"more was classified than received on socket {number}"


def ends_are_explained(history: History) -> Iterator[str]:
    """Each close of the application has its `error`, `drain` or `summary` before it."""
    for number, visit in enumerate(history.visits):
        fatal = [event.code for event in visit.events if isinstance(event, Error) and event.fatal]
        drained = any(isinstance(event, Drain) for event in visit.events)
        if visit.code == CloseCode.NORMAL and summary_of(history) is None:
            yield f"socket {number} closed with 1000 and without a summary"
        elif visit.code == CloseCode.SERVICE_RESTART and not drained:
            yield f"socket {number} closed with 1012 and without `drain`"
        elif visit.code in _OWN and not any(_closes_with(code, visit.code) for code in fatal):
            yield f"socket {number} closed with {visit.code} after {fatal or 'no error'}"
        if visit.story and any(isinstance(one, Closed) for one in visit.story[:-1]):
            yield f"socket {number} went on after it was closed"


def end_is_final(history: History) -> Iterator[str]:
    """The session ends with a summary, or the client says that it is gone; before that it comes back."""
    *before, last = history.visits
    for number, visit in enumerate(before):
        if visit.code is not None and reconnect(visit.code) is Reconnect.NEVER:
            yield f"a socket came after the final close {visit.code} of socket {number}"
    complete = summary_of(history) is not None  # only the close frame got lost behind it
    ended = last.code is not None and (complete or reconnect(last.code) is Reconnect.NEVER)
    if not ended and history.gone is None:
        yield f"the last socket ended with {last.code}, and nothing came after"


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        opens_with_welcome,
        numbers_in_order,
        tells_what_is_replayed,
        asks_for_the_rest,
        goes_on_where_it_was,
        samples_keep_their_index,
        gaps_are_exact,
        heard_or_gap,
        lost_is_declared,
        account_balances,
        summary_is_true,
        flow_is_true,
        ends_are_explained,
        end_is_final,
    )
}
"""Every rule by its name."""

_COUNTS = (
    "next_sample",
    "classified_samples",
    "gap_samples",
    "client_gap_samples",
    "received_samples",
    "pending_samples",
)


# Inside ----------------------------------------------------------------------------------------------------


def _first_due(visit: Visit, welcome: Welcome) -> int:
    """The number of the first event that is to come over this socket."""
    if visit.after is None or visit.epoch not in (None, welcome.epoch):
        return welcome.replay_from or welcome.next_seq
    return visit.after + 1 if welcome.recovered else welcome.replay_from or welcome.next_seq


def _reached(event: object) -> int:
    """The sample that the server must have come to, as `event` shows."""
    if isinstance(event, ClassifiedEvent | Gap):
        return event.end_sample
    if isinstance(event, Flow):
        return event.received
    return event.next_sample if isinstance(event, Summary) else 0


def _is_of_a_window(event: DurableEvent) -> TypeGuard[ClassifiedEvent]:
    """Words have spans of their own; everything else that is classified speaks of a window."""
    return isinstance(event, ClassifiedEvent) and not isinstance(event, Transcript)


def _span(event: ClassifiedEvent | Gap) -> Span:
    return event.start_sample, event.end_sample


def _union(spans: Sequence[Span]) -> list[Span]:
    """The same samples in as few spans as possible."""
    union: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if union and start <= union[-1][1]:
            union[-1] = (union[-1][0], max(end, union[-1][1]))
        else:
            union.append((start, end))
    return union


def _closes_with(code: str, close: int | None) -> bool:
    """Whether an error of `code` is what ends with `close`; a newer server may know others."""
    return code not in set(ErrorCode) or ErrorCode(code).close_code == close
