"""Submissions: entries that anyone may send, checked, re-run in a sandbox, and scored outside it."""
