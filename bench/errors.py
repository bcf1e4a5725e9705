"""What ends a benchmark."""


class BenchError(Exception):
    """A figure cannot be had or trusted; the message says which and why."""
