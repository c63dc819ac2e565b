"""External keys: keys in a KMS or HSM that wrap ours; how they are watched, what they darken."""
