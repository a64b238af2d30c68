"""Whatever is told, not told, or told to nobody, in the end others know who is here."""

from hypothesis import given
from hypothesis import strategies as st

from uaitools.hub.broker.roster import CHANNELS, USERS, Part, Roster

steps = st.lists(
    st.tuples(
        st.sampled_from(("attend", "tell", "fail", "renew")),
        st.sampled_from("ab"),
        st.sampled_from("xyz"),
        st.integers(0, 3),
    ),
    max_size=60,
)


class Others:
    """What was told them."""

    def __init__(self) -> None:
        self.users: dict[tuple[str, str], int] = {}
        self.within: set[str] = set()

    def hear(self, part: Part) -> None:
        self.within |= set(part.entered)
        self.within -= set(part.emptied)
        for channel, users in part.users.items():
            for user, connections in users.items():
                self.users[channel, user] = connections
                assert not connections or channel in self.within


@given(steps)
def test_others_know_who_is_here(steps: list[tuple[str, str, str, int]]) -> None:
    roster, others = Roster(), Others()
    here: dict[tuple[str, str], int] = {}
    for step, channel, user, connections in steps:
        match step:
            case "attend":
                roster.attend(channel, user, connections)
                here[channel, user] = connections
            case "tell":
                part = roster.take()
                others.hear(part)
                roster.told(part)
            case "fail":
                part = roster.take()
                if connections:
                    others.hear(part)  # only the answer was lost
                roster.attend(channel, user, connections)
                here[channel, user] = connections
                roster.untold(part)
            case "renew":
                roster.renew()
                others = Others()
    for _ in range(10):
        if roster:
            part = roster.take()
            others.hear(part)
            roster.told(part)
    assert not roster
    there = {key: n for key, n in here.items() if n}
    assert {key: n for key, n in others.users.items() if n} == there
    assert others.within == {channel for channel, _ in there}


def test_what_is_told_at_once_is_bounded() -> None:
    roster = Roster()
    for n in range(USERS + 1):
        roster.attend("large", f"user-{n}", 1)
    for n in range(CHANNELS + 1):
        roster.attend(f"c{n}", "ann", 1)
    part = roster.take()
    assert len(part.users) == CHANNELS
    assert len(part.users["large"]) == USERS
    roster.told(part)
    part = roster.take()
    assert len(part.users["large"]) == 1
    roster.told(part)
    assert not roster
