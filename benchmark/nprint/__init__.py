"""nPrint (Holland et al., CCS 2021): packets as rows of header bits, there and back."""
