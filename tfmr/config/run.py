"""The configuration of a run, the kinds of model and data by name, and configurations as JSON values."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tfmr.config.causal_lm import CausalLMConfig
from tfmr.config.checks import require
from tfmr.config.data import DataConfig
from tfmr.config.decoding import DecodingConfig
from tfmr.config.devices import DistributedConfig, MeshConfig
from tfmr.config.fine_tuning import FineTuningConfig
from tfmr.config.model import ModelConfig
from tfmr.config.pairs import PairsConfig
from tfmr.config.running_text import RunningTextConfig
from tfmr.config.training import TrainingConfig
from tfmr.config.transformer import TransformerConfig
from tfmr.errors import InputError, nearest


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
    fine_tuning: FineTuningConfig = field(default_factory=FineTuningConfig)
    """The parameters that a run starts from, and which of them learn."""

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


KINDS: dict[str, dict[str, type]] = {
    "model": {"transformer": TransformerConfig, "causal_lm": CausalLMConfig},
    "data": {"pairs": PairsConfig, "running_text": RunningTextConfig},
}
"""The kinds of each section by their names in JSON. The first one is the default for files that name no kind."""


def register_kind(name: str, cls: type[ModelConfig] | type[DataConfig]) -> None:
    """Registers a kind of model or data under the name that config.json uses for it.

    Raises:
      ValueError: if the name belongs to another class.
    """
    kinds = KINDS["model" if issubclass(cls, ModelConfig) else "data"]
    known = kinds.setdefault(name, cls)
    # Rerunning a notebook cell defines the class again.
    if known.__qualname__ != cls.__qualname__:
        raise ValueError(f"kind {name!r} is already {known.__qualname__}; choose another name for {cls.__qualname__}")
    kinds[name] = cls


def config_to_dict(config: Config) -> dict:
    """Returns the configuration as nested dictionaries of JSON values."""
    return asdict(config) | {section: _with_kind(section, getattr(config, section)) for section in KINDS}


def model_to_dict(config: ModelConfig) -> dict[str, Any]:
    """Returns the kind and shape of a model as JSON values."""
    return _with_kind("model", config)


def model_from_dict(values: dict[str, Any]) -> ModelConfig:
    """Inverts `model_to_dict`; raises InputError like `config_from_dict`."""
    return _from_json(None, values, "model.")


def _with_kind(section: str, config: Any) -> dict[str, Any]:
    kind = next((name for name, cls in KINDS[section].items() if cls is type(config)), None)
    require(kind is not None, section, type(config).__name__, "is not registered; call tfmr.config.register_kind")
    return {"kind": kind, **asdict(config)}


def config_from_dict(values: dict) -> Config:
    """Inverts `config_to_dict`.

    Raises:
      InputError: for an unknown key (naming the nearest known one) or a value that a section rejects.
    """
    return _from_dict(Config, values, "")


def _from_dict(cls: type, values: dict, path: str) -> Any:
    types: dict[str, Any] = {f.name: f.type for f in fields(cls)}
    for key in values:
        if key not in types:
            raise InputError(f"unknown config key {path + key!r}{nearest(key, types)}")
    return cls(**{key: _from_json(types[key], value, f"{path}{key}.") for key, value in values.items()})


def _from_json(cls: Any, value: Any, path: str) -> Any:
    if isinstance(value, dict):
        if path.removesuffix(".") in KINDS:
            cls, value = _kind_of(path.removesuffix("."), value)
        return _from_dict(cls, value, path)
    return tuple(value) if isinstance(value, list) else value


def _kind_of(section: str, values: dict) -> tuple[type, dict]:
    """Returns the class of a section, and its values without the name of the kind."""
    kinds = KINDS[section]
    kind = values.get("kind", next(iter(kinds)))
    require(kind in kinds, f"{section}.kind", kind, f"must be one of {', '.join(kinds)}{nearest(str(kind), kinds)}")
    return kinds[kind], {name: value for name, value in values.items() if name != "kind"}
