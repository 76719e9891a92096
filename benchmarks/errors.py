"""The one error of the benchmarks that ends a server's turn or the whole run with a plain sentence."""


class BenchError(Exception):
    """Something needed is missing or did not come up in time; the text says what, for a person."""
