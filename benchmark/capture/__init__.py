"""Captures in and out: pcap and pcapng, every common link type, in bounded memory."""
