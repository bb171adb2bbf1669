"""A sensor's client that a small device can carry: standard library, msgpack, and cryptography's AES; no event loop.

It imports neither numpy nor trio nor gmpy2, here or through others: tests/sensor checks that.
"""
