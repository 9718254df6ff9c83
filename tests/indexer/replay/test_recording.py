"""The recording format: what goes in comes out, the same content is the same bytes, nothing odd is accepted."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from indexer.replay.filters import CompleteFilter
from indexer.replay.recording import (
    CallRecord,
    CodeRecord,
    Metadata,
    PollRecord,
    Record,
    RecordingError,
    StorageRecord,
    load_metadata,
    open_recording,
    write_recording,
)
from ledger.kinds import SourceKind


@pytest.fixture
def records(small: Any) -> list[Record]:
    logs = [small.log(2, 0), small.log(2, 1, address=small.other), small.log(5, 0, topics=(small.approval,))]
    return [
        *small.headers(logs),
        *logs,
        CallRecord(to=small.token, data="0x18160ddd", block=4, result=small.word(5)),
        CallRecord(to=small.token, data="0x18160ddd", block=6, result=small.word(6)),
        CallRecord(to=small.other, data="0xdead", block=6, revert="0x"),
        CodeRecord(address=small.token, first=0, last=1, has_code=False),
        CodeRecord(address=small.token, first=2, last=9, has_code=True),
        StorageRecord(address=small.token, slot=small.word(0), block=3, value=small.word(77)),
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "small.jsonl.zst"


def read_all(path: Path) -> tuple[Metadata, list[Record]]:
    with open_recording(path) as recording:
        return recording.metadata, list(recording.records())


def rewrite(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Changes the lines of a recording and packs them again, as someone's editor would."""
    with zstandard.ZstdDecompressor().stream_reader(path.open("rb"), closefd=True) as stream:
        lines = stream.read().splitlines(keepends=True)
    path.write_bytes(zstandard.ZstdCompressor().compress(b"".join(change(lines))))


def test_what_is_written_is_read_again(small: Any, path: Path, records: list[Record]) -> None:
    written = write_recording(path, small.metadata(), records)
    metadata, read = read_all(path)
    assert read == records
    assert metadata == written == load_metadata(path)
    assert (metadata.first, metadata.last) == (0, 9)
    assert metadata.records == {"call": 3, "code": 2, "header": 10, "log": 3, "storage": 1}


def test_the_same_content_in_any_order_gives_the_same_bytes(small: Any, tmp_path: Path, records: list[Record]) -> None:
    shuffled = [*records, records[11], records[-1]]
    random.Random(7).shuffle(shuffled)
    first, second = tmp_path / "a", tmp_path / "b"
    write_recording(first, small.metadata(), records)
    write_recording(second, small.metadata(), shuffled)
    assert first.read_bytes() == second.read_bytes()


def test_the_order_of_filters_and_of_poll_fields_does_not_change_the_bytes(small: Any, tmp_path: Path) -> None:
    one, two = CompleteFilter((small.token,), ((small.transfer,),)), CompleteFilter((small.other,))
    for name, filters in (("a", (one, two)), ("b", (two, one, one))):
        write_recording(tmp_path / name, small.metadata(filters=filters), small.headers())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    for name, data in (("c", {"x": 1, "y": {"a": None, "b": "2"}}), ("d", {"y": {"b": "2", "a": None}, "x": 1})):
        write_recording(tmp_path / name, small.metadata(is_venue=True, filters=()), [PollRecord(time=9, data=data)])
    assert (tmp_path / "c").read_bytes() == (tmp_path / "d").read_bytes()


def test_two_answers_to_one_question_are_refused(small: Any, path: Path, records: list[Record]) -> None:
    other = CallRecord(to=small.token, data="0x18160ddd", block=4, result=small.word(6))
    with pytest.raises(RecordingError, match="two answers to one question"):
        write_recording(path, small.metadata(), [*records, other])
    assert not path.exists()


def test_a_failed_write_leaves_the_old_file_alone(small: Any, path: Path, records: list[Record]) -> None:
    write_recording(path, small.metadata(), records)
    before = path.read_bytes()
    with pytest.raises(RecordingError, match="outside of 0 to 9"):
        write_recording(path, small.metadata(), [*records, small.log(10, 0)])
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.999])
def test_a_file_cut_anywhere_is_refused(small: Any, path: Path, records: list[Record], kept: float) -> None:
    write_recording(path, small.metadata(), records)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(RecordingError, match=r"truncated|no recording|damaged"):
        read_all(path)


def test_a_missing_line_is_noticed(small: Any, path: Path, records: list[Record]) -> None:
    write_recording(path, small.metadata(), records)
    rewrite(path, lambda lines: lines[:-1])
    with pytest.raises(RecordingError, match="truncated or was changed: line 1 announces"):
        read_all(path)


def test_a_line_cut_in_two_is_noticed(small: Any, path: Path, records: list[Record]) -> None:
    write_recording(path, small.metadata(), records)
    rewrite(path, lambda lines: [*lines[:-1], lines[-1][:-5]])
    with pytest.raises(RecordingError, match="truncated at line 20"):
        read_all(path)


def test_another_version_is_refused_by_its_number(small: Any, path: Path, records: list[Record]) -> None:
    write_recording(path, small.metadata(), records)
    rewrite(path, lambda lines: [lines[0].replace(b'"version":1', b'"version":2'), *lines[1:]])
    with pytest.raises(RecordingError, match="format version 2, this program reads version 1"):
        load_metadata(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not compressed at all", "damaged or no zstd file"),
        (zstandard.compress(b"block,hash\n1,0x\n"), "its first line is no JSON"),
        (zstandard.compress(b'{"format":"something else"}\n'), "does not say"),
        (zstandard.compress(b"[1, 2]\n"), "does not say"),
        (b"", "is truncated"),
    ],
)
def test_a_foreign_file_is_refused(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=message):
        load_metadata(path)


def test_a_file_that_goes_on_after_its_end_is_refused(small: Any, path: Path, records: list[Record]) -> None:
    write_recording(path, small.metadata(), records)
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(RecordingError, match="goes on after its end"):
        read_all(path)


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(RecordingError, match=r"small\.jsonl\.zst cannot be opened: No such file"):
        load_metadata(path)


def test_an_unknown_field_is_named_with_its_line(small: Any, path: Path, records: list[Record]) -> None:
    write_recording(path, small.metadata(), records)
    rewrite(path, lambda lines: [*lines[:3], lines[3].replace(b'"time"', b'"tine"'), *lines[4:]])
    with pytest.raises(RecordingError, match=r"line 4: not a record of this format: .*tine"):
        read_all(path)


def test_lines_out_of_order_are_refused(small: Any, path: Path, records: list[Record]) -> None:
    write_recording(path, small.metadata(), records)
    rewrite(path, lambda lines: [*lines[:11], lines[12], lines[11], *lines[13:]])
    with pytest.raises(RecordingError, match="line 13: out of order or repeated"):
        read_all(path)


def test_headers_must_have_no_gap_and_be_one_chain(small: Any, path: Path) -> None:
    headers = small.headers()
    with pytest.raises(RecordingError, match="header 5 where 4 is next"):
        write_recording(path, small.metadata(), headers[:4] + headers[5:])
    stranger = msgspec.structs.replace(headers[5], parent=small.hash(77))
    with pytest.raises(RecordingError, match="header 5 does not name header 4 as its parent"):
        write_recording(path, small.metadata(), [*headers[:5], stranger, *headers[6:]])
    older = msgspec.structs.replace(headers[5], time=headers[3].time)
    with pytest.raises(RecordingError, match="header 5 is older"):
        write_recording(path, small.metadata(), [*headers[:5], older, *headers[6:]])


@pytest.mark.parametrize("both", [{}, {"result": "0x", "revert": "0x"}])
def test_a_call_has_one_outcome(small: Any, path: Path, both: dict[str, str]) -> None:
    call = CallRecord(to=small.token, data="0x", block=1, **both)
    with pytest.raises(RecordingError, match="either a result or a revert"):
        write_recording(path, small.metadata(), [*small.headers(), call])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": SourceKind.LIVE}, "cannot be of kind live"),
        ({"synthetic": ()}, "must list in `synthetic` what is made up"),
        ({"kind": SourceKind.RECONSTRUCTED, "synthetic": ()}, "must list in `synthetic`"),
        ({"provenance": "  "}, "`provenance` is empty"),
    ],
)
def test_metadata_must_say_what_the_recording_is(small: Any, path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        write_recording(path, small.metadata(**changes), small.headers())


def test_a_genuine_recording_needs_no_list_of_made_up_things(small: Any, path: Path) -> None:
    write_recording(path, small.metadata(kind=SourceKind.RECORDED, synthetic=()), small.headers())
    assert load_metadata(path).synthetic == ()


def test_polls_and_blocks_do_not_mix(small: Any, path: Path) -> None:
    with pytest.raises(RecordingError, match="a venue's recording holds polls and nothing else"):
        write_recording(path, small.metadata(), [*small.headers(), PollRecord(time=3, data={})])
    with pytest.raises(RecordingError, match="a venue's recording holds polls and nothing else"):
        write_recording(path, small.metadata(is_venue=True), small.headers())


def test_an_empty_recording_is_refused(small: Any, path: Path) -> None:
    with pytest.raises(RecordingError, match="at least one header or one poll"):
        write_recording(path, small.metadata(), [])
