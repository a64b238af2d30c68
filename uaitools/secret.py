"""Text that is shown to nobody: it leaves a configuration only where it is asked for by name."""

from typing import Annotated, Final

from pydantic import PlainSerializer, SecretStr, SerializationInfo

# The context with which a dump shows secrets: for the way to another process of ours.
REVEALED: Final = "secrets revealed"


def _serialise(secret: SecretStr, info: SerializationInfo) -> str:
    return secret.get_secret_value() if info.context == REVEALED else str(secret)


Secret = Annotated[SecretStr, PlainSerializer(_serialise, when_used="json")]
"""A text in a configuration; `model_dump(mode="json", context=REVEALED)` shows it, nothing else."""
