import pickle

import orjson

from uaitools.errors import ServiceError, error_body


def test_the_text_names_service_status_and_message() -> None:
    error = ServiceError(503, "no endpoint is available", "llm-router")

    assert str(error) == "[llm-router] 503: no endpoint is available"


def test_the_body_is_the_one_shape_on_the_wire() -> None:
    body = error_body(ServiceError(404, "no route", "proxy"), "r-1")

    assert orjson.loads(body) == {
        "code": 404,
        "message": "no route",
        "service": "proxy",
        "request_id": "r-1",
    }


def test_the_body_lists_the_bad_fields() -> None:
    details: list[dict[str, object]] = [{"field": "name", "message": "is missing"}]

    body = error_body(ServiceError(422, "invalid", "memory", details=details), "r-1")

    assert orjson.loads(body)["details"] == details


def test_the_body_does_not_show_when_to_retry() -> None:
    body = error_body(ServiceError(503, "busy", "proxy", retry_after=2.5), "r-1")

    assert "retry_after" not in orjson.loads(body)


def test_an_error_survives_the_way_to_another_process() -> None:
    error = ServiceError(429, "slow down", "proxy", retry_after=1.5)

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert (str(copy), copy.retry_after) == (str(error), 1.5)
