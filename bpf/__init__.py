"""The kernel side: programs that account packets and infer quality in eBPF, and the routers that they run on."""
