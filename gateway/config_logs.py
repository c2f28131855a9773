"""The keys of `logs:` as settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from gateway.config_logs_model import LogsModel
from gateway.config_sources import ConfigurationError, read_sources


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What is logged, how and where; `audit_file` is empty for stderr."""

    format: str = "text"
    access: bool = True
    exclude: tuple[str, ...] = ("/ping", "/ready")
    audit: bool = True
    audit_file: str = ""
    subject: str = "hashed"


def logs_of(model: LogsModel) -> LogSettings:
    """Turn the keys of the log into settings."""
    return LogSettings(
        format=model.format,
        access=model.access,
        exclude=tuple(model.exclude),
        audit=model.audit,
        audit_file=model.audit_file or "",
        subject=model.subject,
    )


def log_settings_or_usual(environ: Mapping[str, str]) -> LogSettings:
    """Read these keys alone, before all are checked; the usual ones stand for what cannot be read."""
    try:
        section = read_sources(None, environ).document.get("logs") or {}
        return logs_of(LogsModel.model_validate(section))
    except (ConfigurationError, ValidationError):
        return LogSettings()
