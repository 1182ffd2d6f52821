"""Tokenizations: how packets become tokens and back, one a file."""
