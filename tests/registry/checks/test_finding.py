from hypothesis import given
from hypothesis import strategies as st

from uaitools.registry import evidence
from uaitools.registry.checks.answer import GOOD, WEAK, Answer
from uaitools.registry.checks.finding import PASSES, RETELL, TOLD_LESS, Finding
from uaitools.registry.evidence import Word
from uaitools.traffic.checks import CheckPolicy, CheckRecord

POLICY = CheckPolicy(rise=2, fall=3)
NOW = 1000.0
REFUSED = Answer("connection refused")
BROKEN = Answer("status 500")


def heard(*answers: Answer, policy: CheckPolicy = POLICY) -> list[evidence.Testimony | None]:
    """What is told after each of these answers, a second apart."""
    finding = Finding(CheckRecord(policy, NOW))
    return [finding.note(answer, policy, NOW + at) for at, answer in enumerate(answers)]


def test_a_first_pass_is_good_at_once_and_told_once() -> None:
    assert heard(GOOD, GOOD, GOOD) == [evidence.Testimony(Word.GOOD, PASSES), None, None]


def test_fall_failures_in_a_row_are_bad() -> None:
    bad = evidence.Testimony(Word.BAD, "fails: connection refused")

    assert heard(REFUSED, REFUSED, REFUSED) == [None, None, bad]
    assert heard(GOOD, REFUSED, REFUSED, GOOD, REFUSED, REFUSED)[1:] == [None] * 5


def test_rise_passes_in_a_row_are_good_again() -> None:
    told = heard(*[REFUSED] * 3, GOOD, REFUSED, GOOD, GOOD)

    assert told[3:] == [None, None, None, evidence.Testimony(Word.GOOD, PASSES)]


def test_one_that_failed_first_needs_rise_passes_to_be_good() -> None:
    assert heard(REFUSED, GOOD, GOOD) == [None, None, evidence.Testimony(Word.GOOD, PASSES)]


def test_429_is_a_pass_that_is_weak() -> None:
    weak = evidence.Testimony(Word.WEAK, TOLD_LESS)

    assert heard(WEAK, WEAK) == [weak, None]
    assert heard(GOOD, WEAK, GOOD)[1:] == [weak, evidence.Testimony(Word.GOOD, PASSES)]
    assert heard(*[REFUSED] * 3, WEAK, WEAK)[3:] == [None, weak]


def test_a_weak_one_that_fails_once_is_still_weak() -> None:
    assert heard(WEAK, REFUSED, WEAK) == [evidence.Testimony(Word.WEAK, TOLD_LESS), None, None]


def test_another_reason_of_a_bad_one_is_told_at_most_once_a_minute() -> None:
    finding = Finding(CheckRecord(POLICY, NOW))
    assert [finding.note(REFUSED, POLICY, NOW) for _ in range(3)][2] == evidence.Testimony(
        Word.BAD, "fails: connection refused"
    )

    assert finding.note(BROKEN, POLICY, NOW + RETELL - 1) is None
    assert finding.note(REFUSED, POLICY, NOW + RETELL) is None  # what is known
    assert finding.note(GOOD, POLICY, NOW + RETELL) is None  # a pass is no reason
    assert finding.note(BROKEN, POLICY, NOW + RETELL) == evidence.Testimony(
        Word.BAD, "fails: status 500"
    )
    assert finding.note(REFUSED, POLICY, NOW + RETELL + 1) is None


@given(
    st.lists(st.sampled_from([GOOD, WEAK, REFUSED, BROKEN]), max_size=60),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_only_changes_are_told_and_they_agree_with_the_record(
    answers: list[Answer], rise: int, fall: int
) -> None:
    policy = CheckPolicy(rise=rise, fall=fall)
    finding = Finding(CheckRecord(policy, NOW))
    word, at = Word.NOTHING, NOW
    for number, answer in enumerate(answers):
        told = finding.note(answer, policy, NOW + number)
        assert (told is None) == (finding.word is word) or word is Word.BAD
        if told is not None:
            assert told.word is finding.word
            assert told.word is not word or NOW + number - at >= RETELL
            word, at = told.word, NOW + number
        assert word is finding.word
        assert (word is Word.BAD) == finding.record.down
        if word in (Word.GOOD, Word.WEAK) and not answer.failure:
            assert (word is Word.WEAK) == answer.weak
