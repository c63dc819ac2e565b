"""Messages about what people administer: rights, rows, operations."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "authority.role": Message(
        "You may not do '{operation}'.", "It needs one of these roles: {roles}."
    ),
    "authority.elevation": Message(
        "'{operation}' needs an elevated session.",
        "Give your password again: Elevate in the console, header X-Keystead-Elevate in the API.",
    ),
    "authority.table": Message(
        "You may not see '{table}'.", "It needs one of these roles: {roles}."
    ),
    "row.missing": Message(
        "There is no such row in '{table}'.", "It may be gone; look at the list again."
    ),
    "operation.unfit": Message(
        "'{operation}' cannot be done as it stands now.",
        "Look at its state, and try what it allows.",
    ),
    "batch.form": Message(
        "The batch cannot be used: {reason}.",
        "Send batch_request_id, and in rest_requests at most {most} of id, method, url, body.",
    ),
    "batch.request": Message(
        "'{url}' cannot be asked for in a batch.",
        "Ask for a path below /api/now/table or /api/now/stats, with a method it has.",
    ),
    "table.administered": Message(
        "The records of '{table}' are not written by themselves.",
        "Use the operations at /api/keystead/v1/{path}.",
    ),
    "path.missing": Message(
        "There is nothing at '{path}'.",
        "See what there is in /api/keystead/v1/openapi.json.",
    ),
    "request.foreign": Message(
        "A page of another site may not change anything here.",
        "Call from a program, or from a page of this instance.",
    ),
    "operation.parameters": Message(
        "What was given cannot be used: {reason}.", "Mend that field and try again."
    ),
}
