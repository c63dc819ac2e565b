"""Messages about tables, files and databases."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "table.missing": Message(
        "There is no table '{table}'.", "See what there is with: keystead table list HOME"
    ),
    "table.exists": Message(
        "The table '{table}' exists.", "Load into a new table; existing rows are never replaced."
    ),
    "column.missing": Message(
        "The table '{table}' has no column '{column}'.",
        "See its columns with: keystead table show HOME {table}",
    ),
    "file.missing": Message("{file} cannot be read: {reason}.", "Check the path and its rights."),
    "file.exists": Message("{file} exists.", "Name another file; none is written over."),
    "file.unusable": Message("{file} cannot be used: {reason}.", "Check the path and its rights."),
    "file.format": Message(
        "{file} is neither CSV nor JSON lines by its name.",
        "Name it .csv, .csv.gz, .jsonl or .jsonl.gz, or give --format.",
    ),
    "file.empty": Message("{file} has no header or no rows.", "Give a file with at least one row."),
    "file.row": Message(
        "{file}, line {line}: {reason}.", "Correct the line and load again; nothing was loaded."
    ),
    "file.value": Message(
        "{file}, line {line}, column '{column}': {reason}.",
        "Correct the value and load again; nothing was loaded.",
    ),
    "file.column": Message(
        "{file}: {reason}.", "Correct the header and load again; nothing was loaded."
    ),
    "record.missing": Message(
        "There is no such record in '{table}'.", "Look for it with: keystead show HOME {table}"
    ),
    "record.no_key": Message(
        "The table '{table}' has no primary key, so its rows cannot be told apart.",
        "Give the table a primary key.",
    ),
    "record.refused": Message(
        "A constraint of the table '{table}' forbids that.",
        "Look for a value that must be unique, or a record that others refer to.",
    ),
    "record.key_form": Message(
        "The table '{table}' keeps that key in another form than it was given.",
        "Give it in the form in which the table shows it.",
    ),
    "record.key_denied": Message(
        "You may not change the key of this record: the values of '{column}' are bound to it.",
        "Ask for module access policies that let you encrypt and decrypt that column.",
    ),
    "record.key_none": Message(
        "The table '{table}' has a record with the greatest number, so none comes next.",
        "Give the key of the new record.",
    ),
    "value.unique": Message(
        "You may not write the column '{column}': it is unique, so an answer tells what is there.",
        "Ask for a module access policy that lets you decrypt it as well.",
    ),
    "value.denied": Message(
        "You may not write the column '{column}'.",
        "Ask for a module access policy that lets you encrypt it.",
    ),
    "value.generated": Message(
        "The column '{column}' is computed by the database.", "Leave it out."
    ),
    "value.missing": Message("The column '{column}' must have a value.", "Give it one."),
    "value.number": Message(
        "The column '{column}' takes whole numbers only.", "Give one, or leave it empty."
    ),
    "value.range": Message(
        "A number for the column '{column}' has more than 64 bits.", "Give a smaller one."
    ),
    "text.nul": Message(
        "A text holds the character NUL, which not every database can keep.", "Leave it out."
    ),
    "query.syntax": Message(
        "'{term}' in the query cannot be understood.",
        "Name a column of the table and compare it, as in name=Ann^cityISNOTEMPTY.",
    ),
    "query.long": Message(
        "The query has more than {most} conditions.", "Ask in several queries, or with IN."
    ),
    "query.values": Message(
        "The query compares with more than {most} values.", "Ask in several queries."
    ),
    "query.groups": Message(
        "The rows have more than {most} combinations of values.", "Group by other columns."
    ),
    "query.value": Message(
        "What the column '{column}' is compared with is no {wanted}.",
        "Give one, such as {example}.",
    ),
    "query.order": Message(
        "The rows cannot be sorted by the encrypted column '{column}'.",
        "Sort by another column, or sort what you were given.",
    ),
    "query.standard": Message(
        "The column '{column}' cannot be searched: equal values are stored unequal.",
        "Search another column, or configure it with an equality preserving specification.",
    ),
    "query.operator": Message(
        "The encrypted column '{column}' can only be compared with whole values.",
        "Use =, !=, IN, NOT IN, ISEMPTY or ISNOTEMPTY.",
    ),
    "column.denied": Message(
        "You may not see the values of the column '{column}'.",
        "Ask for a module access policy that lets you decrypt it.",
    ),
    "table.keyless": Message(
        "The table '{table}' has no primary key, and no column asked for can be shown.",
        "Ask for a column that is not encrypted as well.",
    ),
    "query.denied": Message(
        "You may not search the column '{column}'.",
        "Ask for a module access policy that lets you decrypt it.",
    ),
}
