"""The exception that ends a benchmark."""


class BenchError(Exception):
    """Something could not be measured, or a reply was wrong; the message says which and why."""
