"""An HTTP server for trained models."""

from tfmr.errors import require_packages

require_packages("tokenizers", "sacrebleu")
require_packages("starlette", "uvicorn", "multipart", "prometheus_client", extra="serve", purpose="serve models")

from tfmr.serving.app import make_app
from tfmr.serving.service import ServedModel, Service
from tfmr.serving.settings import ServerSettings

__all__ = ["ServedModel", "ServerSettings", "Service", "make_app"]
