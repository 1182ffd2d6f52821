"""The compact form of traces on disk: columns of header fields from which the bytes are rebuilt exactly."""
