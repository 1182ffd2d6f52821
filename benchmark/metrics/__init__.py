"""The metrics: one file a family, each with its ``FAMILY``."""
