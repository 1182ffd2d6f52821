"""Loaders of corpora, one a file; each exports ``load(options, root) -> Corpus``."""
