"""The harness: what a trace is, how a cell runs and how it is scored."""
