"""The agent: one static C program that carries out bpf(2) calls inside an emulated router, and its two languages."""
