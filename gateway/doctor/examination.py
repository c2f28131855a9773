"""The examination: every part in turn, a straight list."""

from __future__ import annotations

from gateway.config_model import DEFAULT_PROVIDER
from gateway.doctor.configuration_findings import judge_configuration
from gateway.doctor.diagnoses_outside import OUTSIDE_SKIPPED
from gateway.doctor.facts import Facts, ProviderFacts
from gateway.doctor.feature_findings import judge_features
from gateway.doctor.finding import Finding, Severity, found
from gateway.doctor.outside_findings import judge_outside
from gateway.doctor.probe_findings import judge_client, judge_redirect_uri
from gateway.doctor.provider_findings import (
    judge_clock,
    judge_contacts,
    judge_discovery,
    judge_keys,
    judge_logout,
)
from gateway.doctor.store_findings import judge_store
from gateway.doctor.upstream_findings import judge_upstream


def examine(facts: Facts) -> list[Finding]:
    """Judge all that was seen."""
    settings = facts.settings
    findings = judge_configuration(settings, list(facts.files))
    well = True
    for name, one in facts.providers.items():
        of_provider = examine_provider(one, facts, name)
        well = well and all(finding.severity is not Severity.FAILED for finding in of_provider)
        findings += of_provider
    findings += judge_store(facts.store)
    for upstream in facts.upstreams:
        findings += judge_upstream(upstream, settings, facts.now)
    for way in facts.outside:
        findings += judge_outside(way, settings, provider_is_well=well, now=facts.now)
        if way.start is not None and not well:
            why = "the provider is not well, and no login can begin"
            findings.append(found(OUTSIDE_SKIPPED, f"outside {way.url}", {"why": why}))
    return findings


def examine_provider(one: ProviderFacts, facts: Facts, name: str) -> list[Finding]:
    """Judge one provider: whether it is reached, what it says of itself, and whether it knows us."""
    published, probes, settings = one.published, one.probes, facts.settings
    subject = "provider" if name == DEFAULT_PROVIDER else f"provider {name}"
    features = judge_features(published, settings, subject)
    lacking = any(one.severity is Severity.FAILED for one in features)
    return [
        *judge_contacts(published, subject, facts.now, facts.proxy_variables),
        *judge_discovery(published, subject),
        *judge_clock(published, one.exchanges, subject),
        *judge_keys(published, subject),
        *features,
        *judge_client(published.settings, probes, subject),
        *judge_redirect_uri(published.settings, probes, subject, lacking=lacking),
        *judge_logout(published, subject),
    ]
