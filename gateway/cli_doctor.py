"""gateway doctor: why a set-up does not work, and what to change."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence

import click

from gateway.assembly import Outside
from gateway.cli_failure import CONFIGURATION_EXIT_CODE
from gateway.config import load_document, settings_of
from gateway.config_sources import ConfigurationError
from gateway.doctor.configuration_findings import configuration_problems
from gateway.doctor.examination import examine
from gateway.doctor.facts import Patient, gather
from gateway.doctor.finding import Finding, Severity, origin_of

_ERASE = "\r\x1b[K"


@click.command()
@click.argument("path", required=False, type=click.Path(), metavar="[CONFIG]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object with all findings.")
@click.option("--url", help="How users come to the gateway, if not by public_url.")
def doctor(path: str | None, url: str | None, *, as_json: bool) -> None:
    """Find out why a set-up does not work: each finding with its cause, and with the key to change.

    Run it where the gateway runs, as the same user, while it runs. It asks the provider, the store, what is behind the
    gateway, and the gateway itself by its public address; it signs nobody in and changes nothing.
    """
    logging.getLogger("gateway").addHandler(logging.NullHandler())  # What is found is in the findings.
    if url is not None and not origin_of(url).startswith(("https://", "http://")):
        raise click.BadParameter("must be an http or https URL: https://app.example.com", param_hint="--url")
    try:
        document = load_document(path, os.environ)
        settings = settings_of(document)
    except ConfigurationError as error:
        _print(configuration_problems(error), as_json=as_json)
        sys.exit(CONFIGURATION_EXIT_CODE)
    patient = Patient(document=document, settings=settings, url=url, environ=os.environ)
    findings = examine(gather(patient, Outside(), _tell))
    _tell("")
    _print(findings, as_json=as_json)
    sys.exit(1 if any(one.severity is Severity.FAILED for one in findings) else 0)


def _tell(what: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"{_ERASE}looking at {what} ..." if what else _ERASE, nl=False, err=True)


def _print(findings: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"findings": [_members(one) for one in findings]}, indent=2))
        return
    for one in findings:
        click.echo(f"{one.severity.value:<8} {one.subject}  {one.code}: {one.cause}")
        if one.remedy:
            click.echo(f"{'':<8} {one.remedy}")


def _members(finding: Finding) -> dict[str, str]:
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        "subject": finding.subject,
        "cause": finding.cause,
        "remedy": finding.remedy,
    }
