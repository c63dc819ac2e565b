"""Where SQLAlchemy tells what it is about to do on an attached engine.

1. A transaction begins: what it may need of the instance is prepared.
2. A statement is about to be executed: its values are sealed.
3. It is compiled: encrypted columns where their stored form would be shown are refused, once for
   each compiled statement.
4. It was executed: its result opens what is fetched, values that wait for a key follow, and
   attachments go with the rows that it moved or deleted.
5. The transaction is about to be committed: it is refused when a key ended meanwhile, or when what
   was to follow a statement failed.
"""

from __future__ import annotations

from threading import Lock
from typing import Any, Final
from weakref import WeakSet

from sqlalchemy import Connection, Delete, Engine, Insert, Update, event
from sqlalchemy.engine import ExceptionContext

from keystead.base.errors import Conflict, KeysteadError
from keystead.sqlalchemy.caller import Caller
from keystead.sqlalchemy.column import ASKING
from keystead.sqlalchemy.results import open_rows
from keystead.sqlalchemy.shape import refuse_misuse
from keystead.sqlalchemy.writes import INNER, change

OPTION: Final = "keystead_caller"
_USED: Final = "keystead_used"
_AFTER: Final = "keystead_after"
_HALF_DONE: Final = "keystead_half_done"
_listened: Final[WeakSet[Engine]] = WeakSet()
_checked: Final[WeakSet[Any]] = WeakSet()
_lock: Final = Lock()


def listen_on(engine: Engine) -> None:
    """Have an engine tell what it does; again without effect."""
    with _lock:
        if engine in _listened:
            return
        _listened.add(engine)
        event.listen(engine, "begin", _begin)
        event.listen(engine, "before_execute", _before_execute, retval=True)
        event.listen(engine, "before_cursor_execute", _before_cursor_execute)
        event.listen(engine, "after_execute", _after_execute)
        event.listen(engine, "commit", _commit)
        event.listen(engine, "handle_error", _handle_error)


def _caller(connection: Connection) -> Caller | None:
    found: Caller | None = connection.get_execution_options().get(OPTION)
    return found


def _begin(connection: Connection) -> None:
    caller = _caller(connection)
    if caller is not None:
        connection.info.pop(_USED, None)
        connection.info.pop(_HALF_DONE, None)
        caller.begin()


def _before_execute(
    connection: Connection, statement: Any, multiparams: Any, params: Any, options: Any
) -> tuple[Any, Any, Any]:
    caller = _caller(connection)
    connection.info.pop(_AFTER, None)
    if (
        caller is not None
        and isinstance(statement, Insert | Update | Delete)
        and not options.get(INNER)
    ):
        rows = list(multiparams) or ([params] if params else [])
        used = connection.info.setdefault(_USED, {})
        changed = change(statement, rows, connection, caller, used)
        if changed is not None:
            statement = changed.statement
            connection.info[_AFTER] = changed.after
            several = len(changed.rows) > 1
            multiparams = changed.rows if several else []
            params = {} if several else changed.rows[0]
    ASKING.set(caller)
    return statement, multiparams, params


def _before_cursor_execute(
    connection: Connection, cursor: Any, text: str, parameters: Any, context: Any, many: bool
) -> None:
    del cursor, text, parameters, many
    compiled = context.compiled
    if compiled is None or context.isddl or _caller(connection) is None or compiled in _checked:
        return
    state = getattr(compiled, "compile_state", None)
    refuse_misuse(compiled.statement if state is None else state.statement)
    _checked.add(compiled)


def _after_execute(
    connection: Connection, statement: Any, multiparams: Any, params: Any, options: Any, result: Any
) -> None:
    del statement, multiparams, params
    caller = _caller(connection)
    ASKING.set(None)
    if caller is None or options.get(INNER):
        return
    after = connection.info.pop(_AFTER, None)
    if after is not None:
        try:
            after(result)
        except BaseException:
            connection.info[_HALF_DONE] = True
            raise
    open_rows(result, caller)


def _commit(connection: Connection) -> None:
    caller = _caller(connection)
    used = connection.info.pop(_USED, None)
    half_done = connection.info.pop(_HALF_DONE, False)
    if caller is not None and (used or half_done):
        try:
            _refuse_half_done(half_done)
            caller.refuse_ended(used or {})
        except BaseException:
            # SQLAlchemy takes the transaction for ended, and would give the connection away with it
            connection.dialect.do_rollback(connection.connection)
            raise


def _refuse_half_done(half_done: bool) -> None:
    if half_done:
        raise Conflict("column.half_done")


def _handle_error(context: ExceptionContext) -> None:
    """Let our own errors out as they are: SQLAlchemy would quote the statement's values."""
    ASKING.set(None)  # a caller's rights end with his statement, however that ends
    if isinstance(context.original_exception, KeysteadError):
        raise context.original_exception
