"""Early stopping: count the epochs since a metric last improved."""

import math

from pydantic import BaseModel, ConfigDict, FiniteFloat, NonNegativeInt


class EarlyStopping(BaseModel):
    """The best value of a metric so far, and the epochs since then.

    The run's progress stores three of these: one ends the run, one lowers the learning rate on a
    plateau, and one ends aggressive training of the encoder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    best: FiniteFloat | None = None
    bad_epochs: NonNegativeInt = 0

    def update(self, value: float) -> "EarlyStopping":
        """The state after one more epoch. A value that is not finite counts as no improvement."""
        if math.isfinite(value) and (self.best is None or value > self.best):
            return EarlyStopping(best=value)
        return EarlyStopping(best=self.best, bad_epochs=self.bad_epochs + 1)

    def should_stop(self, patience: int) -> bool:
        """Whether ``patience`` epochs have passed without improvement; never if it is 0."""
        return 0 < patience <= self.bad_epochs
