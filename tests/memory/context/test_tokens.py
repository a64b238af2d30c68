# ruff: noqa: RUF001 - texts of many languages
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from uaitools.memory.context.tokens import Estimate, ModelTokeniser

any_text = st.text(st.characters(codec=None), max_size=200)
TEXTS: Final = {  # and what Llama 2 makes of them
    "The quick brown fox jumps over the lazy dog, as everybody knows.": 16,
    "I moved to Lisbon in 2021; my flat is on the third floor.": 20,
    "def get_user_memory(self, sessionId: str) -> Optional[HttpResponse]:": 20,
    '{"id": "3f2a9c1e-77aa-4d52-9b10-0c5e8f6d1a2b", "n": 0.25}': 49,
    "Über die Wärmeleitfähigkeit größerer Öfen wird häufig gestritten.": 19,
    "L'été dernier, nous avons dîné près de la forêt où l'hôtel était fermé.": 25,
    "Zażółć gęślą jaźń, proszę przesłać wszystkie dokumenty.": 24,
    "Меня зовут Анна, я живу в Москве и люблю зелёный чай.": 25,
    "Θα ήθελα να κλείσω ένα τραπέζι για τέσσερα άτομα.": 50,
    "أريد حجز طاولة لأربعة أشخاص مساء يوم السبت.": 42,
    "אני רוצה להזמין שולחן לארבעה אנשים ביום שבת.": 45,
    "मैं शनिवार की शाम चार लोगों के लिए एक मेज़ बुक करना चाहता हूँ।": 69,
    "ฉันต้องการจองโต๊ะสำหรับสี่คนในคืนวันเสาร์": 48,
    "我想预订星期六晚上四个人的桌子，最好靠近窗户，谢谢。": 43,
    "土曜日の夜に四人でテーブルを予約したいのですが。": 31,
    "토요일 저녁에 네 명 자리를 예약하고 싶은데요.": 43,
    "😀🎉👩‍👩‍👧‍👦🇩🇪❤️🔥": 44,
    "3f2a9c1e77aa4d529b100c5e8f6d1a2b": 32,
    "\t\t\n\n    x = 1\n        y = 2\n": 17,
}


@pytest.fixture(scope="module")
def trained() -> Tokenizer:
    """A small tokeniser of the kind that most models have, trained on the texts above."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    )
    return made


@pytest.mark.parametrize(("text", "tokens"), TEXTS.items())
def test_the_estimate_is_not_far_below_what_a_model_counts(text: str, tokens: int) -> None:
    assert 0.85 * tokens <= Estimate().count(text) <= 2.5 * tokens


@pytest.mark.skipif(find_spec("wordllama") is None, reason="its tokeniser comes with the embedder")
@pytest.mark.parametrize(("text", "tokens"), TEXTS.items())
def test_the_model_counts_what_is_said_above(text: str, tokens: int) -> None:
    spec = find_spec("wordllama")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "tokenizers"
    llama = ModelTokeniser((folder / "l2_supercat_tokenizer_config.json").read_bytes())
    assert llama.count(text) == tokens


@given(any_text)
def test_the_estimate_of_any_text_is_nothing_only_where_there_is_nothing(text: str) -> None:
    assert (Estimate().count(text) == 0) is (set(text) <= {" "} and "  " not in text)


@given(any_text, any_text)
def test_the_estimate_of_lines_is_the_sum_of_theirs(one: str, other: str) -> None:
    count = Estimate().count
    assert count(f"{one}x\n[{other}") == count(f"{one}x\n") + count(f"[{other}")


@given(text=any_text)
def test_a_model_counts_any_text_to_its_end(trained: Tokenizer, text: str) -> None:
    cut = Tokenizer.from_str(trained.to_str())
    cut.enable_truncation(3)
    cut.enable_padding(length=100)
    tokeniser = ModelTokeniser(cut.to_str().encode())
    assert (tokeniser.count(text) == 0) is (not text)
    assert tokeniser.count("x" * 1000 + text) > tokeniser.count(text)


@pytest.mark.parametrize("text", TEXTS)
def test_a_model_counts_as_it_does_itself(trained: Tokenizer, text: str) -> None:
    assert ModelTokeniser(trained.to_str().encode()).count(text) == len(trained.encode(text).ids)


def test_what_is_no_tokeniser_is_refused() -> None:
    for document in (b"", b"{}", b"\xff"):
        with pytest.raises(ValueError, match=r"tokenizer\.json"):
            ModelTokeniser(document)
