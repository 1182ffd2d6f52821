"""The page on what the kernel side costs and says, written from records alone."""
