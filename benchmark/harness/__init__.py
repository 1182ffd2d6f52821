"""How a cell runs: its stages and their keys, the store, the child process and the record."""
