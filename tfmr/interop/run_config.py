"""The configuration of a run as it accompanies an exported model."""

import dataclasses
import json
from typing import Any

from tfmr.config import Config, FineTuningConfig, config_from_dict, config_to_dict
from tfmr.errors import InputError
from tfmr.runs.storage import first_line


def exported_config(config: Config) -> dict[str, Any]:
    """Returns a run's configuration as JSON values, without the paths of its run directory and of its base."""
    return config_to_dict(dataclasses.replace(config, workdir="", fine_tuning=FineTuningConfig()))


def imported_config(content: str | bytes, name: str) -> Config:
    """Returns a run's configuration from JSON; a `model_type` in it is ignored.

    Raises:
      InputError: if it is not the configuration of a run. The message contains `name`.
    """
    try:
        values = json.loads(content)
        values.pop("model_type", None)
        config = config_from_dict(values)
        if not config.model.vocab_size:
            raise ValueError("model.vocab_size is not set")
        return config
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except (ValueError, TypeError, AttributeError) as error:
        reason = first_line(error)
        raise InputError(f"{name}: is not the configuration of a run ({reason}); export the model again") from None
