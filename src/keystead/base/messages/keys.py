"""Messages about modules, specifications and keys."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "module.missing": Message(
        "There is no crypto module '{module}'.", "See what there is with: keystead module list HOME"
    ),
    "module.exists": Message(
        "The crypto module '{module}' exists.", "Choose another name; modules are never deleted."
    ),
    "module.draft": Message(
        "The crypto module '{module}' is a draft.",
        "Publish it with: keystead module publish HOME {module}",
    ),
    "module.published": Message(
        "The crypto module '{module}' is published.", "Nothing is to be done."
    ),
    "specification.missing": Message(
        "There is no crypto specification '{spec}' here.",
        "See the modules with: keystead module list HOME --json",
    ),
    "key.missing": Message(
        "There is no key '{key}' here.", "See the keys with: keystead key list HOME"
    ),
    "key.none": Message(
        "The module '{module}' has no active key.",
        "Make one with: keystead key generate HOME {module}",
    ),
    "key.not_held": Message(
        "The key '{key}' is known here, but not held.",
        "Receive it by a key exchange, or leave its values unreadable.",
    ),
    "key.transition": Message(
        "The key {key} is {state}: it cannot {action}.",
        "See its state with: keystead key list HOME",
    ),
    "key.active_exists": Message(
        "The module '{module}' has an active key.",
        "Replace it with: keystead key rotate HOME {module}",
    ),
    "key.needed": Message(
        "{count} values still need the key {key}: {where}.",
        "Move them to the active key with: keystead rekey HOME TABLE",
    ),
    "key.promised": Message(
        "Another instance may still fetch the key {key}: unused exchange policies ({count}).",
        "Let the target of the clone fetch it, or wait: such a policy lasts a day.",
    ),
    "key.elsewhere": Message(
        "The key {key} belongs to another specification here.",
        "Nothing was imported. Ask the sender which key it means.",
    ),
    "key.differs": Message(
        "Other bytes are held here for the key {key}.",
        "Nothing was imported. Find out which of both instances holds the right ones.",
    ),
    "key.none_so": Message(
        "The module '{module}' has no key that is {states}.",
        "See its keys with: keystead key list HOME",
    ),
    "key.ambiguous": Message(
        "The module '{module}' has {count} such keys.",
        "Name one by its id; see them with: keystead key list HOME",
    ),
    "key.not_of_module": Message(
        "The key {key} is not one of the module '{module}'.",
        "See its keys with: keystead key list HOME",
    ),
    "key.suspended": Message(
        "The key of the module '{module}' is suspended.",
        "Resume it with: keystead key resume HOME {key}. Or replace it with: keystead key revoke"
        " HOME {key} --reason TEXT",
    ),
    "key.is_suspended": Message(
        "The key {key} is suspended.", "Resume it with: keystead key resume HOME {key}"
    ),
    "key.no_expiry": Message(
        "The key {key} has no expiry.",
        "Give its module one with: keystead key rules add HOME MODULE expiration --after 2y",
    ),
    "key.not_expired": Message(
        "The key {key} does not expire before {at}.",
        "Rotate it with: keystead key rotate HOME MODULE",
    ),
    "key.reason": Message(
        "A reason is one line of 1 to 200 characters.", "Say why, by the option --reason."
    ),
    "key.supplied": Message(
        "The key {key} was supplied by a customer: it cannot be revoked.",
        "Rotate to another with: keystead key rotate HOME MODULE --to KEY",
    ),
    "key.destroyed": Message(
        "The key {key} was destroyed here for good.",
        "Nothing was imported. Values under it stay unreadable here, as was decided.",
    ),
    "key.used_up": Message(
        "The key {key} may not encrypt more than {limit} values.",
        "Cancel the job if one stopped here, and rotate with: keystead key rotate HOME MODULE",
    ),
    "key.too_many": Message(
        "{count} values are more than the {limit} that one key of '{module}' may encrypt.",
        "Encrypt the columns of the table by several modules.",
    ),
    "key.supply": Message(
        "The keys of the module '{module}' are supplied by a customer, and none is waiting.",
        "Bring one with: keystead key import HOME MODULE --keystore FILE",
    ),
    "token.invalid": Message(
        "Token failed validation.", "Give the unmodified token that was made for this module."
    ),
    "token.used": Message(
        "Token failed validation: it was used.",
        "Make another with: keystead key import-token HOME MODULE",
    ),
    "token.expired": Message(
        "Token failed validation: it has expired.",
        "Make another with: keystead key import-token HOME MODULE",
    ),
    "supplied.unwrap": Message(
        "The wrapped key does not open.",
        "Wrap the key itself, with the public key that came with the token, by RSA-OAEP-SHA256.",
    ),
    "supplied.size": Message(
        "The key has {size} bits, not {wanted}.",
        "Bring a key of that size; wrap its own bytes, not a text form of them.",
    ),
    "supplied.known": Message(
        "The key {key} has these bytes.", "Bring another key; one key serves one purpose."
    ),
    "keystore.form": Message(
        "The file is no PKCS#12 keystore that can be read.",
        "Give the file as keytool wrote it, of at most a megabyte and sealed by a passphrase.",
    ),
    "keystore.java": Message(
        "The file is a JCEKS or JKS keystore, whose encryption rests on MD5 and SHA-1.",
        "Make a PKCS#12 keystore of it: keytool -importkeystore -srckeystore OLD"
        " -srcstoretype jceks -destkeystore NEW.p12 -deststoretype pkcs12.",
    ),
    "keystore.legacy": Message(
        "The keystore uses an encryption or a digest of old (RC2, 3DES or SHA-1).",
        "Write it anew with Java 17 or newer: keytool -importkeystore -srckeystore OLD.p12"
        " -srcstoretype pkcs12 -destkeystore NEW.p12 -deststoretype pkcs12.",
    ),
    "keystore.passphrase": Message(
        "The passphrase does not open the keystore, or the keystore was changed.",
        "Check the passphrase letter by letter. Nothing was imported.",
    ),
    "keystore.iterations": Message(
        "The keystore asks for more than {most} iterations, or for none.",
        "Write it anew with keytool -importkeystore.",
    ),
    "keystore.alias": Message(
        "The keystore has no secret key with the alias '{alias}'.",
        "Name one of its secret keys with --alias: {known}.",
    ),
    "keystore.several": Message(
        "The keystore has several secret keys that could be meant.",
        "Name one of its secret keys with --alias: {known}.",
    ),
    "keystore.kind": Message(
        "The entry '{alias}' is a certificate or a private key, not a secret key.",
        "Name one of its secret keys with --alias: {known}.",
    ),
    "keystore.algorithm": Message(
        "The secret key '{alias}' is not an AES key.",
        "Name an AES key, or make one with keytool -genseckey -keyalg AES -keysize 256.",
    ),
    "keystore.source": Message(
        "A key comes either with --token and --wrapped, or with --keystore.",
        "See both ways with: keystead key import --help",
    ),
    "rule.missing": Message(
        "There is no life-cycle rule '{rule}'.",
        "See them with: keystead key rules list HOME MODULE",
    ),
    "rule.form": Message(
        "A rule has either a date, or a duration before or after another date.",
        "See the forms with: keystead key rules add --help",
    ),
    "rule.circle": Message(
        "The {date} of a key cannot be counted from its {base}, which comes after it.",
        "Count it from another date.",
    ),
    "rule.duration": Message(
        "'{text}' is not a duration.", "Write a number and y, m or d, such as 2y, 18m or 90d."
    ),
    "rule.time": Message(
        "'{text}' is not a date.", "Write it like 2030-01-31 or 2030-01-31T12:00:00Z, in UTC."
    ),
    "rule.past": Message("{at} is over.", "Give a date that is to come."),
    "rule.place": Message(
        "The module '{module}' has a rule number {order} for {date}.",
        "Give another number by the option --order, or remove that rule.",
    ),
    "rule.beyond": Message(
        "A rule of '{module}' for {date} goes beyond {most}, the most that is allowed.",
        "Shorten it, or make an exception with: keystead key rules cap HOME DATE --module MODULE",
    ),
    "rule.too_far": Message(
        "A date would lie beyond the year 9999.", "Shorten the durations of the rules."
    ),
    "quorum.missing": Message(
        "No quorum is set, so a key that values need cannot be destroyed.",
        "Name the people with: keystead key quorum HOME --needed 2 --person NAME --person NAME",
    ),
    "quorum.set": Message(
        "The quorum is set.", "It cannot be changed; see it with: keystead key quorum HOME"
    ),
    "quorum.size": Message(
        "A quorum of {needed} among {people} people is not possible.",
        "Need at least two, and name as many people or more.",
    ),
    "destroy.missing": Message(
        "There is no request '{request}' to destroy a key.",
        "See them with: keystead key destroy-requests HOME",
    ),
    "destroy.open": Message(
        "A request to destroy the key {key} is open.",
        "Approve it with: keystead key approve-destroy HOME REQUEST",
    ),
    "destroy.over": Message(
        "The request {request} is done or too old.",
        "Make a new one with: keystead key destroy HOME KEY --quorum --reason TEXT",
    ),
    "destroy.denied": Message(
        "{person} may not approve this request.",
        "People of the quorum approve; whoever asked does not.",
    ),
    "destroy.approved": Message(
        "{person} has approved this request.", "Wait for the others of the quorum."
    ),
    "destroy.more": Message(
        "More than the {count} values that were asked for need the key {key} now.",
        "Make a new request when this one has expired.",
    ),
    "key.own": Message(
        "The key {key} is this instance's own.", "Only a key received from another can be dropped."
    ),
}
