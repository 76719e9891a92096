"""Thin shells that move bytes: the one TLS port, its protocols, and what is beside it."""
