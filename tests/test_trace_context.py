"""W3C Trace Context (Recommendation of 2021): what is read, what is written, and what is decided upon it."""

import secrets
from typing import Final

import pytest
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from gateway.trace_context import (
    ALL,
    Sampler,
    Span,
    Trace,
    TraceRules,
    Trust,
    begin_trace,
    format_traceparent,
    is_tracestate,
    new_child,
    parse_traceparent,
    passed_on,
)

TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN: Final = "00f067aa0ba902b7"
SAMPLED: Final = f"00-{TRACE}-{SPAN}-01"
UNSAMPLED: Final = f"00-{TRACE}-{SPAN}-00"
ALWAYS: Final = Sampler(follows_parent=False)
NEVER: Final = Sampler(ratio=0, follows_parent=False)


def counted(octets: int) -> bytes:
    return bytes(range(1, octets + 1))


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        pytest.param(SAMPLED, True, id="3.2-sampled"),
        pytest.param(UNSAMPLED, False, id="3.2-not-sampled"),
        pytest.param(f" {SAMPLED}\t", True, id="white-space-around-is-none-of-it"),
        pytest.param(f"00-{TRACE}-{SPAN}-ff", True, id="3.2.2.5-unknown-flags-beside"),
        pytest.param(f"00-{TRACE}-{SPAN}-02", False, id="3.2.2.5-unknown-flags-alone"),
        pytest.param(f"01-{TRACE}-{SPAN}-01", True, id="3.2.3-higher-version"),
        pytest.param(f"fe-{TRACE}-{SPAN}-00-what the future-holds", False, id="3.2.3-higher-version-with-more"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01-", True, id="3.2.3-higher-version-with-a-dash"),
        pytest.param(f"00-{'0' * 31}1-{'0' * 15}1-01", True, id="smallest-ids"),
    ],
)
def test_a_traceparent_is_read(value: str, sampled: bool) -> None:
    read = parse_traceparent(value)
    assert read is not None
    assert read.sampled is sampled
    assert value.strip(" \t")[3:52] == f"{read.trace_id}-{read.span_id}"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param(f"ff-{TRACE}-{SPAN}-01", id="3.2.2.1-version-ff"),
        pytest.param(f"0-{TRACE}-{SPAN}-01", id="version-too-short"),
        pytest.param(f"000-{TRACE}-{SPAN}-01", id="version-too-long"),
        pytest.param(f".0-{TRACE}-{SPAN}-01", id="version-not-hexadecimal"),
        pytest.param(f"0A-{TRACE}-{SPAN}-01", id="version-in-capitals"),
        pytest.param(f"00-{'0' * 32}-{SPAN}-01", id="3.2.2.3-trace-id-all-zero"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", id="3.2.2.4-parent-id-all-zero"),
        pytest.param(f"01-{'0' * 32}-{SPAN}-01", id="trace-id-all-zero-in-a-higher-version"),
        pytest.param(f"00-{TRACE.upper()}-{SPAN}-01", id="3.2.2.3-capitals"),
        pytest.param(f"00-{TRACE}-{SPAN.upper()}-01", id="3.2.2.4-capitals"),
        pytest.param(f"00-{TRACE}-{SPAN}-0A", id="flags-in-capitals"),
        pytest.param(f"00-{TRACE[:-1]}-{SPAN}-01", id="trace-id-too-short"),
        pytest.param(f"00-{TRACE}0-{SPAN}-01", id="trace-id-too-long"),
        pytest.param(f"00-{TRACE[:-1]}g-{SPAN}-01", id="trace-id-not-hexadecimal"),
        pytest.param(f"00-{TRACE}-{SPAN[:-1]}-01", id="parent-id-too-short"),
        pytest.param(f"00-{TRACE}-{SPAN}0-01", id="parent-id-too-long"),
        pytest.param(f"00-{TRACE}-{SPAN}-1", id="flags-too-short"),
        pytest.param(f"00-{TRACE}-{SPAN}-001", id="flags-too-long"),
        pytest.param(f"00-{TRACE}-{SPAN}", id="no-flags"),
        pytest.param(f"00-{TRACE}-{SPAN}-", id="empty-flags"),
        pytest.param(f"00-{TRACE}-{SPAN}-01-", id="version-00-ends-there"),
        pytest.param(f"00-{TRACE}-{SPAN}-01-x", id="version-00-has-no-more"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01.x", id="3.2.3-more-without-a-dash"),
        pytest.param(f"cc-{TRACE}-{SPAN}-0", id="3.2.3-shorter-than-55"),
        pytest.param(f"00_{TRACE}_{SPAN}_01", id="other-separators"),
        pytest.param(f"{SAMPLED},{SAMPLED}", id="several-fields"),
        pytest.param(f"01-{TRACE}-{SPAN}-01-x,{SAMPLED}", id="several-fields-of-a-higher-version"),
        pytest.param(f"{SAMPLED}\n", id="line-end"),
        pytest.param(f"00-{TRACE}-{SPAN}-\u0660\u0661", id="digits-of-another-script"),
    ],
)
def test_no_other_traceparent_is_read(value: str) -> None:
    assert parse_traceparent(SAMPLED) is not None
    assert parse_traceparent(value) is None
    assert begin_trace(value, counted).parent == ""


@pytest.mark.parametrize(
    ("incoming", "parent"),
    [
        pytest.param(SAMPLED, SAMPLED, id="as-it-came"),
        pytest.param(f"00-{TRACE}-{SPAN}-03", SAMPLED, id="3.2.2.5-unknown-flags-are-none-of-ours"),
        pytest.param(f"01-{TRACE}-{SPAN}-01-x", SAMPLED, id="3.2.3-as-the-version-that-we-know"),
        pytest.param(UNSAMPLED, UNSAMPLED, id="flag-kept"),
    ],
)
def test_who_takes_part_stays_in_the_trace_under_an_id_of_its_own(incoming: str, parent: str) -> None:
    begun = begin_trace(incoming, counted)
    assert begun == Trace(ours=f"00-{TRACE}-0102030405060708-{parent[-2:]}", parent=parent)


def test_without_a_caller_a_new_trace_begins() -> None:
    assert begin_trace("", counted) == Trace(ours="00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01")


@pytest.mark.parametrize("from_proxy", [pytest.param(True, id="from-a-proxy"), pytest.param(False, id="from-anybody")])
@pytest.mark.parametrize(
    ("trust", "continued"),
    [
        pytest.param(Trust.ALWAYS, {True, False}, id="always"),
        pytest.param(Trust.PROXIES, {True}, id="proxies"),
        pytest.param(Trust.NEVER, set(), id="never"),
    ],
)
def test_whose_trace_is_continued(trust: Trust, continued: set[bool], from_proxy: bool) -> None:
    begun = TraceRules(takes_part=True, trust=trust).begin(SAMPLED, counted, from_proxy=from_proxy)
    assert begun.parent == (SAMPLED if from_proxy in continued else "")
    assert begun.ours.startswith(f"00-{TRACE}-" if from_proxy in continued else "00-0102")


def test_who_takes_no_part_begins_none() -> None:
    assert TraceRules(trust=Trust.ALWAYS).begin(SAMPLED, counted, from_proxy=True) == Trace()


def test_no_id_is_all_zeros() -> None:
    assert begin_trace("", bytes).ours == f"00-{'0' * 31}1-{'0' * 15}1-01"


def test_a_child_is_of_the_same_trace() -> None:
    child = new_child(Span(trace_id=TRACE, span_id=SPAN, sampled=True), counted)
    assert format_traceparent(child) == f"00-{TRACE}-0102030405060708-01"


@pytest.mark.parametrize(
    ("sampler", "incoming", "flag"),
    [
        pytest.param(ALL, "", "01", id="root-always"),
        pytest.param(ALL, UNSAMPLED, "00", id="parent-based-unsampled"),
        pytest.param(Sampler(ratio=0), SAMPLED, "01", id="parent-based-sampled"),
        pytest.param(Sampler(ratio=0), "", "00", id="root-never"),
        pytest.param(ALWAYS, UNSAMPLED, "01", id="always-whatever-the-parent"),
        pytest.param(NEVER, SAMPLED, "00", id="never-whatever-the-parent"),
        pytest.param(Sampler(ratio=0.63, follows_parent=False), SAMPLED, "00", id="just-below"),
        pytest.param(Sampler(ratio=0.64, follows_parent=False), SAMPLED, "01", id="just-above"),
    ],
)
def test_the_flag_is_the_samplers(sampler: Sampler, incoming: str, flag: str) -> None:
    assert begin_trace(incoming, counted, sampler).ours.endswith(f"-{flag}")


@pytest.mark.parametrize("ratio", [0.0, 0.001, 0.5, 0.999, 1.0])
def test_the_ratio_is_that_of_opentelemetry(ratio: float) -> None:
    theirs, ours = TraceIdRatioBased(ratio), Sampler(ratio=ratio)
    for trace_id in ["f" * 32, f"{'f' * 16}{'0' * 16}", *(secrets.token_hex(16) for _ in range(200))]:
        decided = theirs.should_sample(None, int(trace_id, 16), "").decision
        assert ours.is_sampled(trace_id, None) is (decided is Decision.RECORD_AND_SAMPLE)


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        pytest.param("congo=t61rcWkgMzE", True, id="3.3-one"),
        pytest.param("rojo=00f067aa0ba902b7, congo=t61rcWkgMzE", True, id="3.3-two"),
        pytest.param("a=1,,b=2\t,", True, id="3.3.1.1-empty-members"),
        pytest.param("fw529a3039@dt=FfAAAAAIgB", True, id="3.3.1.3.1-tenant"),
        pytest.param("1a@b=1", True, id="3.3.1.3.1-tenant-with-a-digit"),
        pytest.param(f"{'a' * 256}=1", True, id="3.3.1.3.1-longest-key"),
        pytest.param(f"a={'1' * 256}", True, id="3.3.1.3.2-longest-value"),
        pytest.param("a= 1 2", True, id="3.3.1.3.2-spaces-within"),
        pytest.param(",".join(f"k{n}=v" for n in range(32)), True, id="3.3.1.1-32-members"),
        pytest.param(",".join(f"k{n}=v" for n in range(33)), False, id="3.3.1.1-33-members"),
        pytest.param("", False, id="none"),
        pytest.param(", ,", False, id="empty-members-alone"),
        pytest.param("A=1", False, id="3.3.1.3.1-capital"),
        pytest.param("1a=1", False, id="3.3.1.3.1-digit-first"),
        pytest.param("a@1b=1", False, id="3.3.1.3.1-system-with-digit-first"),
        pytest.param("a@b@c=1", False, id="3.3.1.3.1-two-systems"),
        pytest.param(f"{'a' * 257}=1", False, id="3.3.1.3.1-key-too-long"),
        pytest.param(f"a@{'b' * 15}=1", False, id="3.3.1.3.1-system-too-long"),
        pytest.param(f"a={'1' * 257}", False, id="3.3.1.3.2-value-too-long"),
        pytest.param("a=", False, id="3.3.1.3.2-no-value"),
        pytest.param("a=1=2", False, id="3.3.1.3.2-equals-sign-in-the-value"),
        pytest.param("a =1", False, id="space-behind-the-key"),
        pytest.param("a=\x7f", False, id="3.3.1.3.2-control-character"),
        pytest.param("a=é", False, id="3.3.1.3.2-not-ascii"),
        pytest.param("a", False, id="no-equals-sign"),
    ],
)
def test_a_tracestate_goes_on_if_it_is_one(value: str, valid: bool) -> None:
    assert is_tracestate("congo=t61rcWkgMzE")
    assert is_tracestate(value) is valid
    came = [("accept", "*/*"), ("traceparent", SAMPLED), ("tracestate", value), ("baggage", "a=1")]
    left = [("accept", "*/*"), *([("tracestate", value)] if valid else []), ("baggage", "a=1")]
    assert passed_on(came, SAMPLED) == left


def test_a_tracestate_ends_with_the_trace_that_it_is_of() -> None:
    came = [("traceparent", "no"), ("tracestate", "a=1"), ("baggage", "b=1")]
    assert passed_on(came, SAMPLED) == came[1:]
    assert passed_on(came, begin_trace("no", counted).parent) == [("baggage", "b=1")]
