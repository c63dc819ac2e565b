"""Messages about users and policies."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "user.missing": Message(
        "There is no user '{user}'.", "See who there is with: keystead user list HOME"
    ),
    "login.needed": Message(
        "You must say who you are.", "Send a name and password, or a token made for you."
    ),
    "login.refused": Message(
        "The name, the password or the token is not right.",
        "Check them; a token may have expired, a user may be deactivated.",
    ),
    "login.too_often": Message(
        "There were too many failed log-ins.", "Wait {seconds} seconds, then try again."
    ),
    "session.ended": Message("The session has ended.", "Log in again."),
    "session.role": Message(
        "You do not hold the role '{role}'.", "Ask somebody who gives roles for it."
    ),
    "property.missing": Message(
        "There is no property '{property}'.",
        "See what there is with: keystead property list HOME",
    ),
    "property.exists": Message("There is a property '{property}'.", "Change its value instead."),
    "property.text": Message(
        "The value of '{property}' cannot be used.",
        "Give at most {most} characters, none of them a control character.",
    ),
    "property.integer": Message(
        "The value of '{property}' must be a whole number.", "Give one from {least} to {most}."
    ),
    "property.choice": Message(
        "The value of '{property}' must be true or false.", "Give one of the two."
    ),
    "password.length": Message(
        "The password must have {least} to {most} characters.", "Choose another."
    ),
    "token.exists": Message(
        "The user '{user}' has a token '{token}'.", "Choose another name for it."
    ),
    "token.missing": Message(
        "The user '{user}' has no token '{token}'.", "See them with: keystead user token list HOME"
    ),
    "body.type": Message(
        "The body is not said to be JSON.", "Send it with the content type application/json."
    ),
    "body.form": Message(
        "The body is not a JSON object of names and values.", "Send an object, in UTF-8."
    ),
    "parameter.number": Message(
        "The parameter '{parameter}' is not a whole number.", "Give one from 0 up."
    ),
    "user.exists": Message("The user '{user}' exists.", "Choose another name."),
    "user.impersonator": Message(
        "Nobody is named who would impersonate '{user}'.", "Say with --as USER who acts."
    ),
    "group.missing": Message(
        "There is no group '{group}'.", "See what there is with: keystead group list HOME"
    ),
    "group.exists": Message("The group '{group}' exists.", "Choose another name."),
    "group.member": Message(
        "'{user}' is in the group '{group}' already.", "Nothing is to be done."
    ),
    "group.stranger": Message(
        "'{user}' is not in the group '{group}'.", "See who is with: keystead group list HOME"
    ),
    "role.held": Message("'{holder}' has the role '{role}' already.", "Nothing is to be done."),
    "role.not_held": Message(
        "'{holder}' was not given the role '{role}'.",
        "A role that comes from a group is taken from the group, or the user out of it.",
    ),
    "policy.exists": Message(
        "The module '{module}' has this policy for {target}.",
        "See it, and whether it is active, with: keystead policy list HOME",
    ),
    "policy.named": Message("There is a policy named '{name}'.", "Choose another name."),
    "policy.missing": Message(
        "There is no policy '{policy}' for callers.",
        "See their ids and names with: keystead policy list HOME",
    ),
    "policy.ambiguous": Message(
        "Several policies are named '{policy}'.",
        "Name it by its id. See the ids with: keystead policy list HOME",
    ),
    "policy.exchange": Message(
        "A policy of key exchange is not made by hand.",
        "A clone makes its own with: keystead clone run HOME CLONE",
    ),
    "policy.impersonation": Message(
        "Only a policy for a role can allow impersonation.", "Leave --impersonation out."
    ),
    "policy.target": Message(
        "A policy of the type {type} takes no role and no scope.", "Leave --role and --scope out."
    ),
    "policy.debug": Message(
        "You may not see how access is decided.",
        "Ask for the role sn_kmf.admin or sn_kmf.cryptographic_manager.",
    ),
}
