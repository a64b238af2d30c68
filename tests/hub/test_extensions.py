"""Which offers of permessage-deflate are accepted, and what is answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.errors import ServiceError
from uaitools.hub.extensions import Offer, agree, read_offers

AGREED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
SMALLER = f"{AGREED}; server_max_window_bits=12"


def test_nothing_is_compressed_unless_the_operator_wants_it() -> None:
    assert agree(["permessage-deflate"], allowed=False) == ""
    assert agree([], allowed=True) == ""


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        ("permessage-deflate", AGREED),
        ("permessage-deflate; client_max_window_bits", AGREED),
        ("permessage-deflate;client_max_window_bits=8", AGREED),
        ("permessage-deflate; client_max_window_bits=15", AGREED),
        ("permessage-deflate; client_no_context_takeover; server_no_context_takeover", AGREED),
        ("permessage-deflate; server_max_window_bits=15", SMALLER),
        ("permessage-deflate; server_max_window_bits=12", SMALLER),
        ('permessage-deflate; server_max_window_bits="1\\2"; client_max_window_bits', SMALLER),
        ("\tpermessage-deflate ;\tserver_max_window_bits = 13 ", SMALLER),
        ("permessage-deflate; server_max_window_bits=11", f"{AGREED}; server_max_window_bits=11"),
        ("permessage-deflate; server_max_window_bits=8", f"{AGREED}; server_max_window_bits=8"),
        # What is not kept to, or not known, is declined.
        ("permessage-deflate; server_max_window_bits=7", ""),
        ("permessage-deflate; server_max_window_bits=16", ""),
        ("permessage-deflate; server_max_window_bits=012", ""),
        ("permessage-deflate; server_max_window_bits", ""),
        ("permessage-deflate; client_max_window_bits=7", ""),
        ("permessage-deflate; client_max_window_bits=+9", ""),
        ("permessage-deflate; server_no_context_takeover=1", ""),
        ("permessage-deflate; client_no_context_takeover=true", ""),
        ("permessage-deflate; client_max_window_bits=9; client_max_window_bits=9", ""),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", ""),
        ("permessage-deflate; strategy", ""),
        ("x-webkit-deflate-frame", ""),
    ],
)
def test_an_offer_is_accepted_whole_or_declined(offer: str, answer: str) -> None:
    assert agree([offer], allowed=True) == answer


@pytest.mark.parametrize(
    "values",
    [
        ["permessage-deflate; strategy, permessage-deflate"],
        ["permessage-deflate; server_max_window_bits=9", "permessage-deflate"],
        ["mux; max-channels=4; flow-control, , permessage-deflate", "permessage-deflate; q=1"],
        ['other; text="permessage-deflate"', "", "permessage-deflate,"],
    ],
)
def test_the_first_offer_that_fits_is_accepted(values: list[str]) -> None:
    assert agree(values, allowed=True) == AGREED


@pytest.mark.parametrize(
    "value",
    [
        "permessage-deflate; ",
        "permessage-deflate client_max_window_bits",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; a=1 2",
        'permessage-deflate; a="1',
        'permessage-deflate; a="1, 2"',
        'permessage-deflate; a=""',
        'permessage-deflate; a="1"2',
        "; a",
        "=",
        "pérmessage-deflate",
    ],
)
def test_a_malformed_header_fails_the_handshake(value: str) -> None:
    with pytest.raises(ServiceError) as caught:
        agree(["permessage-deflate", value], allowed=True)

    assert caught.value.code == 400


tokens = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=8)
offers = st.builds(
    Offer, tokens, st.lists(st.tuples(tokens, st.none() | tokens), max_size=3).map(tuple)
)


@given(st.lists(st.lists(offers, max_size=3), max_size=3), st.data())
def test_offers_are_read_however_they_are_written(
    lines: list[list[Offer]], data: st.DataObject
) -> None:
    blank = st.sampled_from(["", " ", "\t "])

    def written(value: str | None) -> str:
        if value is None:
            return ""
        quoted = '"' + "".join(data.draw(st.sampled_from(["", "\\"])) + one for one in value) + '"'
        equals = data.draw(blank) + "=" + data.draw(blank)
        return equals + data.draw(st.sampled_from([value, quoted]))

    def line(offers: list[Offer]) -> str:
        comma = data.draw(st.sampled_from([",", ", ", " ,\t,"]))
        return comma.join(
            data.draw(blank).join(
                [offer.name, *(f"; {name}{written(value)}" for name, value in offer.parameters)]
            )
            for offer in offers
        )

    assert read_offers(map(line, lines)) == [offer for offers in lines for offer in offers]


@given(st.text('permessage-deflate;,="\\ \t1', max_size=60))
def test_no_text_does_anything_else(noise: str) -> None:
    answers, codes = list[str](), list[int]()
    try:
        answers.append(agree([noise], allowed=True))
    except ServiceError as error:
        codes.append(error.code)

    assert {"", AGREED, SMALLER}.issuperset(answers)
    assert {400}.issuperset(codes)
