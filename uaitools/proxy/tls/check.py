"""What is wrong with the files that a configuration names, before anything is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uaitools.proxy.tls.material import MaterialError, expiry_warning, load, upstream_context

if TYPE_CHECKING:
    from uaitools.proxy.config import ProxyConfig


def examine(config: ProxyConfig) -> tuple[list[str], list[str]]:
    """Problems, and warnings of what works today: a line each, with the key that names the file."""
    problems: list[str] = []
    warnings: list[str] = []
    for index, files in enumerate(config.tls.certificates if config.tls is not None else ()):
        assert config.tls is not None
        try:
            warning = expiry_warning(load(files, config.tls))
        except MaterialError as error:
            problems.append(f"proxy.tls.{error.within(index)}")
        else:
            if warning is not None:
                warnings.append(f"proxy.tls.certificates[{index}].cert: {warning}")
    for name, service in config.services.items():
        try:
            if service.tls.files:
                upstream_context(service.tls)
        except MaterialError as error:
            problems.append(f"proxy.services.{name}.tls.{error}")
        if not service.tls.verify:
            warnings.append(f"proxy.services.{name}.tls.verify: the service can be anybody")
    return list(dict.fromkeys(problems)), warnings
