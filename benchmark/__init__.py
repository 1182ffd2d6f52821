"""The harness: what a trace is, how a cell runs and how it is scored."""

from benchmark.compilation import keep_compiled_code

# Ahead of every module that compiles anything.
keep_compiled_code()
