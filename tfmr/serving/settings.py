"""The limits of the server."""

from dataclasses import dataclass
from typing import ClassVar

from tfmr.config.checks import Checks


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """What the server accepts, and how it batches requests."""

    api_key: str = ""
    """The key that each request must contain, as `Authorization: Bearer KEY` or as `api_key`. Empty: no key. It can
    also be set by the environment variable TFMR_API_KEY, which other users of the machine cannot see."""
    cors_origins: tuple[str, ...] = ()
    """Origins, such as https://example.org, whose pages may call the server. "*": all. Empty: only the server's own
    page."""
    max_characters: int = 10_000
    """Maximum number of characters in the texts of a request."""
    max_body: int = 1_000_000
    """Maximum size of the body of a request, in bytes."""
    max_waiting: int = 1_000
    """Maximum number of lines that wait for the model. If a request would exceed it, the answer is 429."""
    max_connections: int = 1_000
    """Maximum number of open connections. Others are answered with 503."""
    timeout: float = 60.0
    """Maximum time to read and to answer a request, in seconds."""
    max_wait: float = 0.01
    """How long a line waits for others to share its batch when the model is idle, in seconds."""

    _SECTION: ClassVar[str] = "serving"

    def __post_init__(self):
        check = Checks(self._SECTION, self)
        check.positive("max_characters", "max_body", "max_waiting", "max_connections", "timeout")
        check.at_least_zero("max_wait")
