"""REST: background work on a session is asked for, followed, fetched and cancelled here."""

from functools import partial
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.api import auth
from gateway.api.answers import iso, json_answer
from gateway.api.body import read_json_object
from gateway.api.context import Gateway
from gateway.api.download import Download
from gateway.api.problems import Problem, from_error, pointer
from gateway.api.query import bad_query
from gateway.errors import NotFound
from gateway.tasks.model import State, Task, TaskLimit, TaskNotFound
from gateway.tasks.recipes import recipe
from protocol.errors import ProtocolError, invalid_field

PREFIX = "/api/v1/tasks"

FIELDS = ("type", "options")
DISPOSITIONS = ("attachment", "inline")
_PRIVATE = {"cache-control": "no-store"}
"""What is said in a session is on no disk, a browser's cache included."""
_INERT = {
    "x-content-type-options": "nosniff",
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
    ),
}
"""A result holds words of strangers and comes from the gateway's own origin: nothing in it may run."""


class TaskRoutes:
    """The handlers of `/api/v1/sessions/{id}/tasks` and `/api/v1/tasks`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def create(self, request: Request) -> Response:
        """`POST …/tasks`: the task is taken on, and where to follow it."""
        await auth.session(self._gateway, request)
        given = await read_json_object(request)
        for name in given:
            if name not in FIELDS:
                raise invalid_field(name[:64], f"{name[:64]} is not a known field")
        try:
            wanted = recipe(given.get("type"), given.get("options"))
        except ProtocolError as error:
            raise _pointing(error) from None
        session = await auth.session(self._gateway, request)  # a body may take its time
        try:
            self._refuse_while_draining()
            task = await self._gateway.desk.submit(session, wanted)
        except (Problem, TaskLimit) as refusal:
            self._gateway.telemetry.refused(refusal.code)
            raise
        headers = {"location": f"{PREFIX}/{task.id}", **_PRIVATE}
        return json_answer(_view(task), HTTPStatus.ACCEPTED, headers)

    async def list(self, request: Request) -> Response:
        """`GET …/tasks`: the session's tasks as they came, by `state`."""
        session = await auth.session(self._gateway, request)
        state = request.query_params.get("state")
        if state is not None and state not in set(State):
            raise bad_query("state", f"must be one of {', '.join(State)}")
        found = await self._gateway.desk.list(session.id, State(state) if state is not None else None)
        return json_answer({"tasks": [_view(task) for task in found]}, headers=_PRIVATE)

    async def show(self, request: Request) -> Response:
        """`GET` one."""
        return json_answer(_view(await self._task(request)), headers=_PRIVATE)

    async def result(self, request: Request) -> Response:
        """`GET …/result`: what it made, as a file; it breaks off where the session is discarded meanwhile."""
        task = await self._task(request)
        disposition = _disposition(request)
        await self._gateway.desk.fetch(task.id)
        result = self._gateway.tasks.result(task.id)
        headers = {
            **_PRIVATE,
            **_INERT,
            "content-disposition": f'{disposition}; filename="{result.filename}"',
            "content-length": str(result.size),
            "content-type": result.media_type,
        }
        return Download(partial(self._gateway.tasks.open_result, task.id), headers)

    async def delete(self, request: Request) -> Response:
        """`DELETE`: it is cancelled, or forgotten with its result where it is over; tells its last state."""
        task = await self._task(request)
        return json_answer(_view(await self._gateway.desk.remove(task.id)), headers=_PRIVATE)

    async def _task(self, request: Request) -> Task:
        """The task that the path names. One of a session that the caller can't see is as good as none."""
        await auth.caller(self._gateway, request.scope)  # a stranger isn't told whether there is such a task
        task_id = request.path_params["task_id"]
        session_id = await self._gateway.desk.session_of(task_id)
        try:
            await auth.session(self._gateway, request, session_id)
        except NotFound:
            raise TaskNotFound from None
        return await self._gateway.desk.get(task_id)

    def _refuse_while_draining(self) -> None:
        refusal = self._gateway.refusal_of_task()
        if refusal is not None:
            raise refusal


def _disposition(request: Request) -> str:
    """How a browser is to take a result (RFC 6266 section 4.2): to keep, or, if asked, to show."""
    given = request.query_params.get("disposition", DISPOSITIONS[0])
    if given not in DISPOSITIONS:
        raise bad_query("disposition", f"must be one of {', '.join(DISPOSITIONS)}")
    return given


def _pointing(error: ProtocolError) -> Problem:
    """The problem with a body, pointing into its options where one of them is wrong."""
    problem = from_error(error)
    field, _, option = (error.param or "").partition(".")
    if option:
        problem.pointer = pointer(field, option)
    return problem


def _view(task: Task) -> dict[str, Any]:
    return {
        "id": task.id,
        "session_id": task.session_id,
        "type": task.recipe.type,
        "options": dict(task.recipe.options),
        "state": task.state,
        "created_at": iso(task.created_at),
        "updated_at": iso(task.updated_at),
        "progress": task.progress,
        "result_available": task.result_available,
        "error_message": task.error_message,
    }
