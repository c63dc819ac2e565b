"""Messages about attachments."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "attachment.missing": Message(
        "There is no attachment {attachment}.",
        "See what there is with: keystead attachment list HOME TABLE",
    ),
    "attachment.denied": Message(
        "You may not read the attachments of the table '{table}'.",
        "Ask for a module access policy that lets you decrypt them.",
    ),
    "attachment.write_denied": Message(
        "You may not add attachments to the table '{table}'.",
        "Ask for a module access policy that lets you encrypt them.",
    ),
    "attachment.too_large": Message(
        "The attachment is larger than {limit} MiB.",
        "Give a smaller file, or let the administrator raise the setting attachment_limit.",
    ),
    "attachment.name": Message(
        "'{name}' cannot be the {what} of an attachment.",
        "Give a file name of up to 255 characters without slashes, and a type as in text/plain.",
    ),
    "attachment.body": Message(
        "The body is not a whole file, or not a form of table_name, table_sys_id and one file.",
        "Nothing was kept. Send all of it, in a form the file last.",
    ),
    "attachment.query": Message(
        "Attachments cannot be searched like that: {reason}.",
        "Compare table_name, table_sys_id or sys_id by = or IN, as in table_name=incident.",
    ),
    "attachment.abandoned": Message(
        "The upload was given up: its record is gone, or it stood still for too long.",
        "Nothing was kept. Upload the file again.",
    ),
    "attachment.reconfigured": Message(
        "The attachments of the table '{table}' were configured as encrypted during the upload.",
        "Nothing was kept. Upload the file again.",
    ),
    "attachment.changed": Message(
        "The attachment {attachment} was removed or encrypted while it was read.",
        "What was read is not whole. Read it again.",
    ),
    "attachment.tampered": Message(
        "The attachment {attachment} of the table '{table}' is not as Keystead wrote it.",
        "It is not shown. Find out who changed it, and restore it from a backup.",
    ),
    "attachment.sealed": Message(
        "This is not what seals an attachment in format 1.", "Nothing is to be done."
    ),
}
