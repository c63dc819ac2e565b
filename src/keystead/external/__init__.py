"""External keys: keys in a KMS or HSM that wrap ours, how they are watched, and what they darken."""
