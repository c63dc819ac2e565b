"""Messages about encrypted columns of applications."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "column.unattached": Message(
        "The encrypted column '{column}' is used on an engine that is attached to no instance.",
        "Use the engine that open(HOME).attach(engine, user=...) gives, and no literal values.",
    ),
    "column.shape": Message(
        "The encrypted column '{column}' is used {where}, where its values are not opened.",
        "Select the column itself, or compare it by =, !=, IN or IS NULL.",
    ),
    "column.keyless": Message(
        "The encrypted column '{column}' is read without the key of its row.",
        "Select {keys} of the same table or alias as well, once.",
    ),
    "column.row": Message(
        "The encrypted column '{column}' is written without the key of its row.",
        "Name one row by {keys} = value, or change the rows through a session.",
    ),
    "column.attached": Message(
        "The table '{table}' has attachments: it must be clear which rows move or are deleted.",
        "Name each row by {keys} = value, and give no row the key that another one leaves.",
    ),
    "column.half_done": Message(
        "A statement of this transaction was carried out only in part.",
        "Roll back and run the transaction again.",
    ),
    "column.generated": Message(
        "The database makes the keys of '{table}', and does not tell which row gets which.",
        "Insert the rows one by one or through a session, or give them keys.",
    ),
    "column.key_type": Message(
        "The value of the key column '{column}' is no whole number, text or UUID of its type.",
        "Give it as the type of the column has it.",
    ),
    "column.expression": Message(
        "The encrypted column '{column}' is given an SQL expression or a default of the database.",
        "Give it a value.",
    ),
    "value.text": Message(
        "The column '{column}' takes text only.", "Give a text, or declare it as Encrypted(int)."
    ),
    "key.overtaken": Message(
        "The key {key} may encrypt no more; values were written under it in this transaction.",
        "Roll back and run the transaction again.",
    ),
}
