"""Every cryptographic primitive Keystead uses, and the only importer of `cryptography`. No I/O."""
