"""The HTTP server."""

from dataclasses import dataclass
from typing import ClassVar

from tfmr.config.checks import Checks


@dataclass(frozen=True, kw_only=True)
class ServingConfig:
    """What the server accepts, and how it makes batches of requests."""

    api_key: str = ""
    """Key that requests must contain: in a header, "Authorization: Bearer KEY", or as the field api_key. Empty: the
    value of $TFMR_API_KEY, which other users of the machine cannot see; if that is empty too, no key is needed."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may use the server from a browser, such as https://example.org. "*": all. By default, only
    the server's own page."""
    max_characters: int = 10_000
    """Maximum number of characters in the texts of a request."""
    max_body: int = 1_000_000
    """Maximum size of the body of a request, in bytes."""
    max_waiting: int = 2_000
    """Maximum number of lines or prompts waiting for a model. Requests that would exceed it are answered with 429."""
    max_requests: int = 1_000
    """Maximum number of requests in progress. Others are answered with 503."""
    timeout: float = 60.0
    """Maximum time to receive the body of a request, and to answer it, in seconds."""
    max_wait: float = 0.01
    """How long a line waits for others to share its batch, in seconds."""

    _SECTION: ClassVar[str] = "serving"

    def __post_init__(self):
        check = Checks(self._SECTION, self)
        check.positive("max_characters", "max_body", "max_waiting", "max_requests", "timeout")
        check.at_least_zero("max_wait")
        check.text("api_key", "cors_origins")
