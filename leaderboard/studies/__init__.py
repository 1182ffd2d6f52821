"""Pages on whole matrices, written from records alone: what was asked, what came out, and what can't be told."""
