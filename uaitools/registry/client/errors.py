"""Why a call to the registry did not succeed."""

from __future__ import annotations

from typing import Final

from uaitools.errors import ServiceError

_SERVICE: Final = "registry"


class Away(ServiceError):
    """No registry answers, or none as a registry does (503). reason: of the last one, for logs."""

    def __init__(self, reason: str) -> None:
        super().__init__(503, "the registry cannot be reached; try again later", _SERVICE)
        self.reason = reason


class Refused(ServiceError):
    """The registry has understood and will not do it; its status is `code`, 400-499."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message, _SERVICE)
