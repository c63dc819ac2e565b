"""The main job as one run: it drives Keystead's own commands and nothing else."""
