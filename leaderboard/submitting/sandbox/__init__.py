"""A sandbox for code of strangers: namespaces, a seccomp filter, control groups and limits, by system calls alone."""
