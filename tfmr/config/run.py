"""The configuration of a run."""

from dataclasses import dataclass, field

from tfmr.config.checks import require
from tfmr.config.data import DataConfig
from tfmr.config.decoding import DecodingConfig
from tfmr.config.devices import DistributedConfig, MeshConfig
from tfmr.config.model import ModelConfig
from tfmr.config.pairs import PairsConfig
from tfmr.config.training import TrainingConfig
from tfmr.config.transformer import TransformerConfig
from tfmr.errors import nearest


@dataclass(frozen=True)
class Config:
    """Everything that defines a run."""

    workdir: str = ""
    """The run directory. Empty: runs/ followed by the name of the config file."""
    model: ModelConfig = field(default_factory=TransformerConfig)
    """The kind and shape of the model."""
    data: DataConfig = field(default_factory=PairsConfig)
    """The corpus, its tokens and its batches."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """Optimizer, schedule, evaluation and checkpoints."""
    mesh: MeshConfig = field(default_factory=MeshConfig)
    """The device mesh."""
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    """How to search for translations."""
    distributed: DistributedConfig = field(default_factory=DistributedConfig)
    """The processes of a run on several hosts."""

    def __post_init__(self):
        data, model, metric = self.data, self.model, self.training.best_metric
        needed = " or ".join(kind.__name__ for kind in data.models)
        require(type(model) in data.models, "model", type(model).__name__, f"{type(data).__name__} requires {needed}")
        limit = model.longest_sequence
        fix = f"must be at most model.max_length = {limit}, the number of positions of the model"
        require(limit is None or data.max_length <= limit, "data.max_length", data.max_length, fix)
        known = ", ".join(data.metrics)
        fix = f"must be one of {known} for {type(data).__name__}{nearest(metric, data.metrics)}"
        require(metric in data.metrics, "training.best_metric", metric, fix)
