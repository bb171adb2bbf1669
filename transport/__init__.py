"""Bytes under tags: framing, handshake, channels over memory and TCP, metering, latency shaping."""
