"""Errors that a command prints as one line instead of a traceback.

    TrainingError
    ├── ConfigError    an option, an environment variable or a config file is invalid
    ├── RunError       a run directory cannot be used, or a run cannot continue
    └── ExportError    the model cannot be exported

Errors of data are training.data.dataset.DataError, those of a bundle vae.bundle.BundleError.
"""


class TrainingError(Exception):
    """The message tells the user what was found, what was expected, and where."""


class ConfigError(TrainingError):
    """An option is invalid. The message names it and its source."""


class RunError(TrainingError):
    """A run directory cannot be used or a run cannot continue. The message names the run."""


class ExportError(TrainingError):
    """A graph failed the export gate, so no bundle is written. The message names the graph."""
