"""How long a figure has not risen: what early stopping and a plateau's learning rate go by."""

from pydantic import BaseModel, ConfigDict, FiniteFloat, NonNegativeInt


class Patience(BaseModel):
    """``best`` so far, and the epochs since then: ``stale``. Stored with the run's progress."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    best: FiniteFloat | None = None
    stale: NonNegativeInt = 0

    def after(self, figure: float) -> "Patience":
        """The same after one epoch more; a figure that is not finite is no better than the best."""
        if figure > (float("-inf") if self.best is None else self.best) and figure < float("inf"):
            return Patience(best=figure)
        return Patience(best=self.best, stale=self.stale + 1)

    def lost(self, epochs: int) -> bool:
        """Whether ``epochs`` have gone by in vain; never when that is 0."""
        return 0 < epochs <= self.stale
