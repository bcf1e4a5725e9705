"""Build the objective that the options name."""

from training.config.train_config import TrainConfig
from training.objectives.beta_tc import BetaTC
from training.objectives.dreg import DReG
from training.objectives.elbo import ELBO
from training.objectives.infovae import InfoVAE
from training.objectives.iwae import IWAE
from training.objectives.objective import Objective


def make_objective(config: TrainConfig, rows: int) -> Objective:
    """The objective of a resolved config; ``rows`` is the number of training rows."""
    match config.objective:
        case "elbo":
            capacity = config.capacity > 0
            return ELBO(draws=config.draws, free_bits=config.free_bits, capacity=capacity)
        case "iwae":
            return IWAE(draws=config.draws)
        case "dreg":
            return DReG(draws=config.draws)
        case "beta-tc":
            return BetaTC(rows=rows)
        case "mmd":
            return InfoVAE(weight=config.mmd_weight)
