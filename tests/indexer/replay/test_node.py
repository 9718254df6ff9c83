"""The web application around recordings: batches, growing heads, venues, several recordings at once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from indexer.replay.caps import Caps
from indexer.replay.node import Replay, create_node, load_replay, running_node
from indexer.replay.recording import PollRecord, Record, RecordingError, write_recording


class Hand:
    """A clock that moves when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def chain(small: Any) -> list[Record]:
    logs = [small.log(2, 0), small.log(5, 0)]
    return [*small.headers(logs), *logs]


@pytest.fixture
def venue(small: Any, make_replay: Callable[..., Replay]) -> Callable[..., Replay]:
    polls = [PollRecord(time=1000 + 10 * n, data={"vault": n or None}) for n in range(5)]
    return lambda **options: make_replay(polls, small.metadata(is_venue=True, filters=()), **options)


async def test_a_whole_batch_sees_one_head(
    chain: list[Record], make_replay: Callable[..., Replay], ask_batch: Any
) -> None:
    class Racing:
        """Each look at this clock is a minute later."""

        now = 0

        def __call__(self) -> float:
            self.now += 60
            return self.now

    replay = make_replay(chain, chain_seconds_per_second=1, clock=Racing())
    answers = await ask_batch(replay, *[("eth_blockNumber",), ("eth_getBlockByNumber", "latest", False)] * 3)
    assert {
        answer["result"] if isinstance(answer["result"], str) else answer["result"]["number"] for answer in answers
    } == {"0x0"}
    later = await ask_batch(replay, ("eth_blockNumber",))
    assert later[0]["result"] != "0x0"


async def test_a_head_grows_by_chain_time(
    chain: list[Record], make_replay: Callable[..., Replay], ask_batch: Any
) -> None:
    clock = Hand()
    replay = make_replay(chain, chain_seconds_per_second=60, depth=3, clock=clock)
    seen = []
    for second in range(11):
        clock.now = second
        latest, final = await ask_batch(replay, ("eth_blockNumber",), ("eth_getBlockByNumber", "finalized", False))
        seen.append((int(latest["result"], 16), int(final["result"]["number"], 16)))
    assert seen == [(0, 0), (1, 0), (2, 0), (3, 0), (4, 1), (5, 2), (6, 3), (7, 4), (8, 5), (9, 9), (9, 9)]


async def test_a_batch_keeps_ids_and_mixes_answers_with_errors(
    chain: list[Record], make_replay: Callable[..., Replay], ask_batch: Any
) -> None:
    replay = make_replay(chain)
    answers = await ask_batch(replay, ("eth_blockNumber",), ("eth_nothing",), ("eth_chainId",))
    assert [answer["id"] for answer in answers] == [0, 1, 2]
    assert ["error" in answer for answer in answers] == [False, True, False]


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"{", -32700), (b"\xff", -32700), (b"[]", -32600), (b"7", -32600), (b'{"id": 1, "method": 5}', -32600)],
)
async def test_a_broken_request_gets_a_json_rpc_error(
    chain: list[Record], make_replay: Callable[..., Replay], body: bytes, code: int
) -> None:
    replay = make_replay(chain)
    transport = httpx.ASGITransport(create_node([replay]))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        answer = (await client.post(f"/{replay.slug}", content=body)).json()
    assert answer["error"]["code"] == code


async def test_a_batch_that_is_too_large_is_refused_as_a_whole(
    chain: list[Record], make_replay: Callable[..., Replay], ask_batch: Any
) -> None:
    replay = make_replay(chain, caps=Caps(batch=2))
    answer = await ask_batch(replay, *[("eth_chainId",)] * 3)
    assert answer["error"] == {"code": -32600, "message": "batch is too large: at most 2 requests"}


async def test_the_list_says_what_is_served_and_of_which_kind(
    chain: list[Record], make_replay: Callable[..., Replay], fetch: Any
) -> None:
    replay = make_replay(chain, start=4)
    (entry,) = (await fetch(replay, "/")).json()
    assert (entry["slug"], entry["kind"], entry["head"], entry["is_at_end"]) == (replay.slug, "simulated", 4, False)
    alone = (await fetch(replay, f"/{replay.slug}")).json()
    assert alone["recording"]["provenance"] == "made up for tests"


async def test_a_venue_gives_its_polls_oldest_first_and_in_pages(venue: Callable[..., Replay], fetch: Any) -> None:
    replay = venue()
    times, after = [], 0
    while True:
        page = (await fetch(replay, f"/{replay.slug}/polls?after={after}&limit=2")).json()
        times += [poll["time"] for poll in page["polls"]]
        after = times[-1]
        if not page["has_more"]:
            break
    assert times == [1000, 1010, 1020, 1030, 1040]
    assert (page["slug"], page["kind"], page["head"]) == (replay.slug, "simulated", 1040)
    assert (await fetch(replay, f"/{replay.slug}/polls?after=1040")).json()["polls"] == []


async def test_a_venue_shows_no_poll_beyond_its_head(venue: Callable[..., Replay], fetch: Any) -> None:
    replay = venue(start=1)
    page = (await fetch(replay, f"/{replay.slug}/polls")).json()
    assert ([poll["time"] for poll in page["polls"]], page["has_more"], page["head"]) == ([1000, 1010], False, 1010)
    replay.head.advance_to_time(1030)
    page = (await fetch(replay, f"/{replay.slug}/polls?after=1010")).json()
    assert [poll["time"] for poll in page["polls"]] == [1020, 1030]


async def test_an_unknown_value_stays_unknown(venue: Callable[..., Replay], fetch: Any) -> None:
    page = (await fetch(venue(), "/small-simulated/polls?limit=2")).json()
    assert [poll["vault"] for poll in page["polls"]] == [None, 1]


@pytest.mark.parametrize("query", ["after=yesterday", "limit=many", "limit=0"])
async def test_a_venue_refuses_questions_it_cannot_read(venue: Callable[..., Replay], fetch: Any, query: str) -> None:
    response = await fetch(venue(), f"/small-simulated/polls?{query}")
    assert response.status_code == 400
    assert "must be" in response.json()["error"]


def test_two_recordings_with_one_slug_are_refused(chain: list[Record], make_replay: Callable[..., Replay]) -> None:
    replay = make_replay(chain)
    with pytest.raises(ValueError, match="two recordings have the slug small-simulated"):
        create_node([replay, replay])


def test_several_recordings_are_served_over_real_http(small: Any, chain: list[Record], tmp_path: Path) -> None:
    replays = []
    for slug in ("one-simulated", "two-simulated"):
        write_recording(tmp_path / slug, small.metadata(slug=slug), chain)
        replays.append(load_replay(tmp_path / slug, start=0))
    question = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
    with running_node(replays) as node, httpx.Client() as client:
        node.heads["two-simulated"].advance_to(6)
        heads = [client.post(node.url_of(each.slug), json=question).json()["result"] for each in replays]
        missing = client.post(node.url_of("three-simulated"), json=question).status_code
    assert heads == ["0x0", "0x6"]
    assert missing == 404


def test_loading_reports_progress_and_names_a_broken_file(small: Any, chain: list[Record], tmp_path: Path) -> None:
    path, seen = tmp_path / "a", []
    write_recording(path, small.metadata(), chain)
    load_replay(path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(12, 12)]
    path.write_text(json.dumps({}))
    with pytest.raises(RecordingError, match="damaged or no zstd file"):
        load_replay(path)
