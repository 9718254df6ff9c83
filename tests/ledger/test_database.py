"""The ledger on both databases: migrations, bulk writes, transactions, and errors that say what to do."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Engine, delete, inspect, text
from sqlmodel import Session, SQLModel, col, select

from ledger import image
from ledger.blocks import delete_blocks_above, insert_blocks
from ledger.bulk import MANY_ROWS, BulkMaker, Same, insert_columns, insert_rows
from ledger.columns import INT256_MAX, INT256_MIN
from ledger.database import open_engine, reading, writing
from ledger.errors import LedgerOutdatedError, LedgerUnreachableError
from ledger.logs import FACT_COLUMNS, LOG_COLUMNS
from ledger.tables import Block, Chain, Fact, Fund, Platform, RawLog, Reading, Segment
from ledger.upgrades import migration_config, require_current, upgrade

CHAIN, HASH = 420210501, "0x" + "1" * 64
NOON = datetime(2021, 5, 19, 12, tzinfo=UTC)
COLUMNS = (
    "chain_id",
    "block_hash",
    "segment_id",
    "name",
    "subject",
    "block_number",
    "block_time",
    "value_raw",
    "decimals",
    "contract",
    "call",
)


@pytest.fixture
def engine(empty_database_url: str) -> Engine:
    """A migrated ledger of either kind with one segment and one block."""
    engine = open_engine(empty_database_url)
    upgrade(engine)
    with writing(engine) as session:
        session.add(Chain(chain_id=CHAIN, slug="c", name="C", kind="simulated"))
        session.add(Platform(slug="p", name="P"))
        session.flush()
        session.add(
            Fund(
                slug="f",
                platform_slug="p",
                name="F",
                kind="reserve",
                shape="address_fund",
                chain_id=CHAIN,
                methodology="m",
                file_digest="d",
            )
        )
        session.flush()
        session.add(Segment(id=1, fund_slug="f", slug="f", name="F", chain_id=CHAIN))
        session.add(
            Block(chain_id=CHAIN, hash=HASH, number=1, parent_hash="0x" + "0" * 64, timestamp=NOON, status="finalized")
        )
    yield engine
    engine.dispose()


def rows(count: int) -> list[tuple[object, ...]]:
    """Readings of many subjects, with values from the bottom of int256 upwards."""
    return [(CHAIN, HASH, 1, "balance", str(i), 1, NOON, INT256_MIN + i, 6, "c", "c()") for i in range(count)]


@pytest.mark.parametrize("count", [1, MANY_ROWS - 1, MANY_ROWS, 3 * MANY_ROWS])
def test_bulk_rows_arrive_once_however_often_they_are_written(engine: Engine, count: int) -> None:
    for _ in range(2):
        with writing(engine) as session:
            insert_rows(session, Reading, COLUMNS, rows(count))
    with reading(engine) as session:
        found = session.exec(select(Reading).order_by(col(Reading.value_raw))).all()
    assert [r.value_raw for r in found] == [INT256_MIN + i for i in range(count)]
    assert {r.block_time for r in found} == {NOON}


@pytest.mark.parametrize("count", [1, MANY_ROWS])
def test_a_row_without_a_required_value_is_an_error_not_a_silent_loss(engine: Engine, count: int) -> None:
    broken = [(*row[:9], None, "c()") for row in rows(count)]
    with pytest.raises(Exception, match=r"(?i)null"), writing(engine) as session:
        insert_rows(session, Reading, COLUMNS, broken)


BRIEF_COLUMNS = (
    "chain_id",
    "block_hash",
    "log_index",
    "fact_no",
    "segment_id",
    "block_number",
    "block_time",
    "role",
    "decoder",
    "detail",
)


@pytest.mark.parametrize("count", [1, MANY_ROWS])
def test_what_has_no_detail_is_null_to_an_analyst_and_no_json_word(engine: Engine, count: int) -> None:
    facts = [(CHAIN, HASH, i, 0, 1, 1, NOON, "payout", "test@1", None) for i in range(count)]
    with writing(engine) as session:
        insert_rows(session, Fact, BRIEF_COLUMNS, facts)
    with reading(engine) as session:
        assert len(session.exec(select(Fact).where(col(Fact.detail).is_(None))).all()) == count


@pytest.mark.parametrize("count", [1, MANY_ROWS])
def test_a_detail_comes_back_as_it_was_whatever_it_holds(engine: Engine, count: int) -> None:
    details = [{"event": 'a "quoted" \\ word\n\tµ', "amount": 2**200 + i, "none": None} for i in range(count)]
    facts = [(CHAIN, HASH, i, 0, 1, 1, NOON, "payout", "test@1", details[i]) for i in range(count)]
    with writing(engine) as session:
        insert_rows(session, Fact, BRIEF_COLUMNS, facts)
    with reading(engine) as session:
        assert session.exec(select(Fact.detail).order_by(col(Fact.log_index))).all() == details


def test_a_row_of_an_unknown_block_is_refused(engine: Engine) -> None:
    orphan = [(CHAIN, "0x" + "2" * 64, *rows(1)[0][2:])]
    with pytest.raises(Exception, match=r"(?i)foreign key"), writing(engine) as session:
        insert_rows(session, Reading, COLUMNS, orphan)


def test_deleting_a_block_takes_what_hangs_on_it(engine: Engine) -> None:
    with writing(engine) as session:
        insert_rows(session, Reading, COLUMNS, rows(300))
    with writing(engine) as session:
        session.exec(delete(Block))
    with reading(engine) as session:
        assert session.exec(select(Reading)).all() == []


def test_an_error_rolls_everything_back(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), writing(engine) as session:  # noqa: PT012  Two steps are the point.
        insert_rows(session, Reading, COLUMNS, rows(300))
        raise ZeroDivisionError
    with reading(engine) as session:
        assert session.exec(select(Reading)).all() == []


def test_migrations_build_exactly_the_tables_of_the_models(engine: Engine) -> None:
    command.check(migration_config(engine))
    inspector = inspect(engine)
    for name, table in SQLModel.metadata.tables.items():
        assert {c["name"] for c in inspector.get_columns(name)} == set(table.c.keys())
    upgrade(engine)
    require_current(engine)


def test_every_table_and_column_has_a_sentence() -> None:
    for name, table in SQLModel.metadata.tables.items():
        silent = [c.name for c in table.c if not c.comment and c.name != "id"]
        assert not silent, f"{name}: {silent} have no comment"


def test_a_database_without_tables_says_how_to_make_them(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    with pytest.raises(LedgerOutdatedError, match="backstop db upgrade"):
        require_current(engine)
    engine.dispose()


@pytest.mark.parametrize("url", ["nonsense", "mysql://x/y", "redis://x"])
def test_a_url_of_no_known_database_says_what_to_use(url: str) -> None:
    with pytest.raises(LedgerUnreachableError, match="sqlite:///FILE or postgresql"):
        open_engine(url)


def test_a_database_that_does_not_answer_names_the_setting(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/missing/folder/x.sqlite")
    with pytest.raises(LedgerUnreachableError, match="BACKSTOP_DATABASE_URL"):
        require_current(engine)


def test_a_reader_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/x.sqlite")
    upgrade(engine)
    with writing(engine) as writer:
        writer.add(Platform(slug="p", name="P"))
        writer.flush()
        with reading(engine) as session:
            assert session.exec(select(Platform)).all() == []
    engine.dispose()


def test_two_writers_wait_for_each_other_and_lose_nothing(engine: Engine) -> None:
    def add(number: int) -> None:
        with writing(engine) as session:
            session.add(Platform(slug=f"p{number}", name="P"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    with Session(engine) as session:
        assert len(session.exec(select(Platform)).all()) == 41


LOG = (CHAIN, HASH, 0, 1, "0x" + "3" * 64, "0x" + "ab" * 20, "0x" + "4" * 64, "0x")
FACT = (CHAIN, HASH, 0, 0, 1, 1, NOON, "0x" + "3" * 64, "payout", None, None, 7, None, None, None, None, "test@1")


def test_what_is_deleted_with_a_block_leaves_nothing_dangling_and_touches_nothing_below(engine: Engine) -> None:
    above = "0x" + "2" * 64
    with writing(engine) as session:
        insert_blocks(session, [(CHAIN, above, 2, HASH, NOON, "unfinalized")])
        insert_rows(session, RawLog, LOG_COLUMNS, [LOG, (CHAIN, above, 0, 2, *LOG[4:])])
        insert_rows(session, Fact, FACT_COLUMNS, [FACT, (CHAIN, above, 0, 0, 1, 2, *FACT[6:])])
        insert_rows(session, Reading, COLUMNS, [(CHAIN, above, 1, "balance", "", 2, *rows(1)[0][6:]), *rows(1)])
    with writing(engine) as session:
        delete_blocks_above(session, CHAIN, 1)
    with reading(engine) as session:
        for table in (Block, RawLog, Fact, Reading):
            numbers = session.exec(select(table.number if table is Block else table.block_number)).all()
            assert numbers == [1], table


@pytest.mark.parametrize("count", [2, MANY_ROWS])
def test_rows_of_a_half_written_range_are_completed_and_not_doubled(engine: Engine, count: int) -> None:
    logs = [(CHAIN, HASH, at, 1, *LOG[4:]) for at in range(count)]
    with writing(engine) as session:
        insert_rows(session, RawLog, LOG_COLUMNS, logs[: count // 2])
    with writing(engine) as session:
        insert_rows(session, RawLog, LOG_COLUMNS, logs)
    with reading(engine) as session:
        assert sorted(session.exec(select(RawLog.log_index)).all()) == list(range(count))


def test_rows_written_before_keys_were_in_order_of_height_are_all_there_afterwards(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    command.upgrade(migration_config(engine), "0002")
    with writing(engine) as session:
        # Chain and segment with the columns of then.
        columns = "chain_id, slug, name, kind, provenance, explorer, is_venue, status, status_reason"
        told = f"{CHAIN}, 'c', 'C', 'simulated', '', '', false, 'new', ''"
        session.execute(text(f"INSERT INTO chain ({columns}) VALUES ({told})"))
        session.add(Platform(slug="p", name="P"))
        session.flush()
        session.add(
            Fund(slug="f", platform_slug="p", name="F", kind="reserve", shape="address_fund", chain_id=CHAIN,
                 methodology="m", file_digest="d")
        )  # fmt: skip
        session.flush()
        columns = "id, fund_slug, slug, name, chain_id, status, status_reason"
        session.execute(text(f"INSERT INTO segment ({columns}) VALUES (1, 'f', 'f', 'F', {CHAIN}, 'new', '')"))
        insert_blocks(session, [(CHAIN, HASH, 1, "0x" + "0" * 64, NOON, "finalized")])
        session.flush()
        insert_rows(session, RawLog, LOG_COLUMNS, [LOG])
        insert_rows(session, Fact, FACT_COLUMNS, [FACT])
    upgrade(engine)
    with reading(engine) as session:
        log, fact = session.exec(select(RawLog)).one(), session.exec(select(Fact)).one()
    assert (log.block_hash, log.log_index, log.topics) == (HASH, 0, LOG[6])
    assert (fact.block_time, fact.amount_raw, fact.role, fact.detail) == (NOON, 7, "payout", None)
    engine.dispose()


@pytest.mark.parametrize("count", [3, MANY_ROWS + 3])
def test_nothing_and_the_empty_text_stay_two_things_in_bulk(engine: Engine, count: int) -> None:
    """Rows of one column all texts, of one with NULLs, of one with NULLs and all that might be taken for one."""
    given = [(f"0x{at:02x}", None if at % 2 else "m", ("", None, "0", "NULL")[at % 4]) for at in range(count)]
    facts = [
        (*FACT[:2], at, *FACT[3:9], source, side, 7, None, account, None, None, "test@1")
        for at, (account, source, side) in enumerate(given)
    ]
    with writing(engine) as session:
        insert_rows(session, Fact, FACT_COLUMNS, facts)
    with reading(engine) as session:
        found = session.exec(select(Fact.account, Fact.source, Fact.side).order_by(Fact.log_index)).all()
    assert [tuple(row) for row in found] == given


@pytest.mark.parametrize("text", ["plain", "a\tb", "a\nb", "a\rb", "a\\b", "\\N", "", "ü\u2028\x7f"])
def test_any_text_comes_back_as_it_was_written_in_bulk(database_url: str, text: str) -> None:
    engine = open_engine(database_url)
    with writing(engine) as session:
        rows = [(f"platform-{n}", f"{text}{n}" if n else text, "") for n in range(MANY_ROWS)]
        insert_rows(session, Platform, ("slug", "name", "url"), rows)
    with reading(engine) as session:
        found = session.exec(select(Platform.slug, Platform.name, Platform.url)).all()
    assert sorted(found) == sorted(rows)
    engine.dispose()


@pytest.mark.parametrize("count", [1, 7, MANY_ROWS, MANY_ROWS + 156])
def test_what_is_the_same_in_all_rows_is_given_once_and_stands_in_each(engine: Engine, count: int) -> None:
    odd = 'a "quoted"\tword'
    columns = [
        Same(CHAIN), Same(HASH), list(range(count)), Same(0), Same(1), [1] * count, Same(NOON), Same("0x" + "3" * 64),
        ["payout"] * count, Same(None), [None] * count, list(range(2**80, 2**80 + count)), Same(None),
        [None if at % 2 else f"0x{at:040x}" for at in range(count)], Same(odd), Same(None), Same("test@1"),
    ]  # fmt: skip
    with writing(engine) as session:
        insert_columns(session, Fact, FACT_COLUMNS, columns)
        insert_columns(session, Fact, FACT_COLUMNS, columns)  # Those that are there stay.
    with reading(engine) as session:
        found = session.exec(select(Fact).order_by(col(Fact.log_index))).all()
    assert len(found) == count
    for at, fact in enumerate(found):
        assert (fact.chain_id, fact.block_hash, fact.log_index, fact.segment_id) == (CHAIN, HASH, at, 1)
        assert (fact.block_time, fact.amount_raw, fact.market, fact.detail) == (NOON, 2**80 + at, odd, None)
        assert fact.account == (None if at % 2 else f"0x{at:040x}")


@pytest.mark.parametrize("count", [7, MANY_ROWS, 3 * MANY_ROWS])
def test_numbers_and_nothing_stay_apart_in_bulk(engine: Engine, count: int) -> None:
    given = [(None, 0, 1)[at % 3] for at in range(count)]
    with writing(engine) as session:
        insert_rows(
            session, Fact, FACT_COLUMNS, [(*FACT[:2], at, *FACT[3:12], n, *FACT[13:]) for at, n in enumerate(given)]
        )
    with reading(engine) as session:
        assert session.exec(select(Fact.asset_id).order_by(Fact.log_index)).all() == given


@pytest.mark.parametrize("count", [7, MANY_ROWS, 3 * MANY_ROWS + 1])
def test_columns_of_one_width_come_back_row_by_row_with_nothing_where_nothing_was(engine: Engine, count: int) -> None:
    """Each value tells its row, so that one cut at another place would be seen."""
    given = [
        (
            at,
            f"0x{at:064x}",
            NOON + timedelta(microseconds=at),
            None if at % 3 == 1 else f"0x{at + 1:064x}",
            None if at % 5 == 2 or at > MANY_ROWS else (-1) ** at * (7**at % INT256_MAX),
        )
        for at in range(count)
    ]
    rows = [
        (CHAIN, block_hash, at, *FACT[3:6], time, tx, *FACT[8:11], amount, *FACT[12:])
        for at, block_hash, time, tx, amount in given
    ]
    with writing(engine) as session:
        insert_rows(session, Fact, FACT_COLUMNS, rows)
    wanted = select(Fact.log_index, Fact.block_hash, Fact.block_time, Fact.tx_hash, Fact.amount_raw)
    with reading(engine) as session:
        found = session.exec(wanted.order_by(col(Fact.log_index))).all()
    assert [tuple(row) for row in found] == given


def test_bulks_of_other_tables_and_widths_follow_each_other_in_one_transaction(engine: Engine) -> None:
    """SQLite keeps statements: one that took rows from an image must take those of the next one from there."""
    brief = [(CHAIN, HASH, at, 9, 1, 1, NOON, "payout", "test@1", None) for at in range(MANY_ROWS)]
    for again in range(3):
        logs = [(CHAIN, HASH, again * MANY_ROWS + at, 1, *LOG[4:]) for at in range(MANY_ROWS)]
        facts = [(*FACT[:2], at, again, *FACT[4:]) for at in range(2 * MANY_ROWS)]
        with writing(engine) as session:
            insert_rows(session, RawLog, LOG_COLUMNS, logs)
            insert_rows(session, Fact, FACT_COLUMNS, facts)
            insert_rows(session, Fact, BRIEF_COLUMNS, brief)
            insert_rows(session, RawLog, LOG_COLUMNS, logs[:MANY_ROWS])
    with reading(engine) as session:
        assert sorted(session.exec(select(RawLog.log_index)).all()) == list(range(3 * MANY_ROWS))
        assert len(session.exec(select(Fact)).all()) == MANY_ROWS + 3 * 2 * MANY_ROWS


def test_a_build_of_sqlite_without_images_writes_the_same_rows(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "ARE_THERE", False)
    logs = [(CHAIN, HASH, at, 1, *LOG[4:]) for at in range(2 * MANY_ROWS + 3)]
    with writing(engine) as session:
        insert_rows(session, RawLog, LOG_COLUMNS, logs)
    with reading(engine) as session:
        assert sorted(session.exec(select(RawLog.log_index)).all()) == list(range(2 * MANY_ROWS + 3))


def test_what_is_the_same_in_one_portion_and_not_in_the_next_is_refused(engine: Engine) -> None:
    maker = BulkMaker(engine.dialect, Platform, ("slug", "name"), are_many=True)
    maker.add([["a"], Same("one")])
    with pytest.raises(ValueError, match="the same in all rows"):
        maker.add([["b"], Same("two")])


def test_no_columns_are_no_rows(engine: Engine) -> None:
    with writing(engine) as session:
        insert_columns(session, Fact, FACT_COLUMNS, [])
        insert_columns(session, RawLog, LOG_COLUMNS, [[] for _ in LOG_COLUMNS])
    with reading(engine) as session:
        assert not session.exec(select(Fact)).all()


@pytest.mark.parametrize("columns", [[Same(1), Same("x")], [[1, 2], ["x"]], [[1], ["x", "y"]]])
def test_columns_that_say_not_how_many_rows_there_are_are_refused(engine: Engine, columns: list[Any]) -> None:
    with pytest.raises(ValueError, match="one length"), writing(engine) as session:
        insert_columns(session, Platform, ("slug", "name"), columns)
