import pytest

from uaitools.proxy import failure
from uaitools.proxy.failure import Failure

FAILURES = [value for value in vars(failure).values() if isinstance(value, Failure)]


def test_every_kind_has_a_label_of_its_own() -> None:
    assert len({each.label for each in FAILURES}) == len(FAILURES) == 13


@pytest.mark.parametrize("each", FAILURES, ids=lambda each: each.label)
def test_the_client_is_told_a_5xx_of_the_gateway_in_the_service_s_name(each: Failure) -> None:
    error = each.error("llm-router")

    assert error.code in (502, 503, 504)
    assert str(error) == f"[llm-router] {each.status}: {each.message}"
    assert error.retry_after == each.retry_after


@pytest.mark.parametrize("each", FAILURES, ids=lambda each: each.label)
def test_only_a_503_says_when_to_come_back(each: Failure) -> None:
    assert (each.status == 503) == (each.retry_after is not None)


@pytest.mark.parametrize("each", FAILURES, ids=lambda each: each.label)
def test_what_failed_before_a_connection_stood_never_reached_the_upstream(each: Failure) -> None:
    assert each.before_write or not each.connecting


def test_a_timeout_is_504_and_anything_else_of_the_upstream_502() -> None:
    assert {each.label for each in FAILURES if each.status == 504} == {
        "connect_timeout",
        "deadline",
        "timeout",
    }


def test_a_message_may_say_more_than_the_kind_does() -> None:
    assert failure.PROTOCOL.error("a", "malformed status line").message == "malformed status line"
