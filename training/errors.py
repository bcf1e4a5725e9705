"""What a run says to its user instead of a traceback.

    TrainingError
    ├── ConfigError    an option, a variable or a config file is wrong
    ├── RunError       a run directory cannot be used, or the run cannot go on
    └── ExportError    the model cannot become a bundle

Data has its own, training.data.dataset.DataError, and a bundle has vae.bundle.BundleError.
"""


class TrainingError(Exception):
    """The message is for the user: what was given, what was expected and where."""


class ConfigError(TrainingError):
    """An option is wrong; the message names it and the place it came from."""


class RunError(TrainingError):
    """A run directory cannot be used or a run cannot go on; the message names it."""


class ExportError(TrainingError):
    """A graph failed the gate, so that no bundle is written; the message names the graph."""
