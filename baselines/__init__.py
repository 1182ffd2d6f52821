"""The methods: one readable file or folder a generator, one file a tokenization."""
