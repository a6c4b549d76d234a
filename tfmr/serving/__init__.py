"""An HTTP server for trained models."""

from tfmr.errors import require_packages

require_packages("tokenizers", "sacrebleu")
require_packages(
    *("starlette", "uvicorn", "prometheus_client", "py3langid", "langcodes"), extra="serve", purpose="serve models"
)

from tfmr.serving.app import make_app
from tfmr.serving.models import load_models
from tfmr.serving.service import ServedGenerator, ServedTranslator, Service

__all__ = ["ServedGenerator", "ServedTranslator", "Service", "load_models", "make_app"]
