"""From the options to the objective that training minimises."""

from training.config.options import (
    TrainConfig,
)
from training.objectives.beta_tc import BetaTC
from training.objectives.dreg import DReG
from training.objectives.elbo import ELBO
from training.objectives.infovae import InfoVAE
from training.objectives.iwae import IWAE
from training.objectives.objective import Objective


def objective(config: TrainConfig, rows: int) -> Objective:
    """What a resolved config trains for, on so many rows."""
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
