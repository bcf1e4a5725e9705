from service.batching.latency import LatencyEstimator as Cost

__all__ = ["Cost"]
