from uaitools.memory import rendering
from uaitools.memory.api import answers


def test_what_is_kept_in_copies_is_what_is_documented() -> None:
    assert tuple(answers.Memory.model_fields) == rendering.FIELDS
