"""Fund and chain files: what is refused and how it is said, and what the ledger keeps."""

from pathlib import Path

import msgspec
import pytest
from sqlmodel import select

import indexer.specs
import web.names
from indexer.registry import (
    FUNDS,
    FundFileError,
    Registry,
    RegistryError,
    adapter_for,
    check_fund,
    load_chains,
    load_funds,
    merged,
    tracked,
    write,
)
from ledger.database import open_engine, reading, writing
from ledger.kinds import ChainStatus, SourceKind
from ledger.tables import Asset, Chain, Fund, Segment
from tests.indexer.table_rows import all_rows

RESERVE = FUNDS / "ethena-reserve.toml"
RECORDINGS = sorted(path for path in FUNDS.iterdir() if path.is_dir())


def changed(tmp_path: Path, before: str, after: str, source: Path = RESERVE) -> Path:
    """A copy of a fund file with one change."""
    text = source.read_text()
    assert before in text
    path = tmp_path / source.name
    path.write_text(text.replace(before, after, 1))
    return path


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("summary = ", "sumary = ", 'unknown key "sumary" (did you mean "summary"?)'),
        ("symbol = ", "simbol = ", 'unknown key "simbol" in [assets] (did you mean "symbol"?)'),
        ("[platform]\n", "[platform]\nhome = 'x'\n", 'unknown key "home" in [platform] (known are name, slug, url)'),
        ("holder = ", "holdr = ", "needs contracts.holder"),
        ("0x2B5AB59163a6e93b4486f6055D33CA4a115Dd4D5", "0x2B5AB59163", "is not 0x and 40 hexadecimal digits"),
        ("0x2B5AB59163a6e93b4486f6055D33CA4a115Dd4D5", "0x2b5AB59163a6e93b4486f6055D33CA4a115Dd4D5", "checksum"),
        ('shape = "address_fund"', 'shape = "adress_fund"', "adress_fund"),
        ('kind = "reserve"', 'kind = "reserves"', "reserves"),
        ("chain = 1\n", "chain = 77\n", "chain = 77 is in no chain file (known: 1, 10, 8453)"),
        ('balance_asset = "USDtb"', 'balance_asset = "USDTB"', "is the symbol of none of the [[assets]]"),
        ('balance_asset = "USDtb"\n', "", "needs balance_asset"),
        ("decimals = 18", 'decimals = "18"', "Expected `int`, got `str`"),
        ("beta = 0.0", "beta = -1.0", "beta = -1.0 is not between 0 and 10"),
        ("access = 0.98\naccess_reason", "access = 0.98\n# access_reason", "needs an access_reason"),
        ('name = "Ethena Reserve Fund"', 'name = ""', "name is empty"),
        ('slug = "ethena-reserve"', 'slug = "Ethena Reserve"', "lower-case words"),
        ("caveats = [", "caveats = ", "is no valid TOML"),
    ],
)
def test_a_mistake_in_a_fund_file_names_file_key_and_fix(tmp_path: Path, before: str, after: str, message: str) -> None:
    path = changed(tmp_path, before, after)
    with pytest.raises(FundFileError) as caught:
        check_fund(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("symbol", "message"),
    [
        ("", 'symbol = "" is empty: write the one that the contract'),
        ("W" * 33, "has 33 characters, 32 are the most: shorten it"),
        ("USDC\\u202e", r'symbol = "USDC\u202e" contains U+202E, a control, a mark of direction'),
        ("US\\u200bDC", "contains U+200B"),
        ("USDC\\u0007", r'symbol = "USDC\x07" contains U+0007'),
        ("USDC\\n", "contains U+000A"),
        ("USDC\\u00a0", "contains U+00A0"),
        (" USDC", "begins or ends with a space: take it out"),
        ("USDC ", "begins or ends with a space"),
        ("usd", 'is a unit of numbers on pages: say which token it is, such as "usd (token)"'),
        ("USD", "is a unit of numbers"),
        ("\uff35\uff33\uff24", "is a unit of numbers"),
        ("%", "is a unit of numbers"),
        ("Ratio", "is a unit of numbers"),
        ("days", "is a unit of numbers"),
    ],
)
def test_a_symbol_that_cannot_be_printed_as_a_token_is_refused(tmp_path: Path, symbol: str, message: str) -> None:
    path = changed(tmp_path, 'symbol = "USDT"', f'symbol = "{symbol}"')
    with pytest.raises(FundFileError) as caught:
        check_fund(path)
    said = str(caught.value)
    assert said.startswith(f'{path}: [[assets]] with address = "0xdAC17F958D2ee523a2206206994597C13D831ec7": symbol = ')
    assert message in said
    assert said.isprintable()


@pytest.mark.parametrize("symbol", ["KNC (legacy)", "USDC.e", "USD₮0", "$WIF", "W" * 32])
def test_a_symbol_that_is_odd_but_clear_is_taken(tmp_path: Path, symbol: str) -> None:
    fund = check_fund(changed(tmp_path, 'symbol = "USDT"', f'symbol = "{symbol}"'))
    assert fund.asset(symbol) is not None


def test_every_unit_that_pages_print_is_refused_as_a_symbol() -> None:
    assert web.names.UNITS <= indexer.specs.UNITS
    assert web.names.LONGEST_SYMBOL == indexer.specs.LONGEST_SYMBOL


def test_a_missing_file_and_a_missing_folder_say_so(tmp_path: Path) -> None:
    with pytest.raises(FundFileError, match="cannot be read"):
        check_fund(tmp_path / "none.toml")
    with pytest.raises(FundFileError, match="no such folder"):
        load_funds(tmp_path / "none")


def test_every_fund_file_loads_and_has_its_adapter() -> None:
    registry = merged(load_funds(path) for path in [FUNDS, *RECORDINGS])
    assert len(registry.funds) == len(list(FUNDS.rglob("*.toml"))) - len(RECORDINGS)
    for fund in registry.funds:
        if not registry.chain(fund.chain).is_venue:
            assert adapter_for(fund).filters()
        assert all(address == address.lower() for address in fund.contracts.values())


def test_live_chains_have_two_endpoints_and_recordings_their_kind_in_the_slug() -> None:
    assert {chain.id: len(chain.rpc) >= 2 for chain in load_chains()} == {1: True, 10: True, 8453: True}
    for folder in RECORDINGS:
        (chain,) = load_funds(folder).chains
        assert chain.slug == folder.name
        assert chain.kind != SourceKind.LIVE
        assert str(chain.id).startswith("42")


def test_two_files_that_describe_one_asset_differently_are_refused() -> None:
    registry = load_funds(FUNDS)
    fund = next(fund for fund in registry.funds if fund.slug == "ethena-reserve")
    other = msgspec.structs.replace(fund.assets[1], access=0.5, access_reason="lent out")
    twin = msgspec.structs.replace(fund, slug="twin", assets=(fund.assets[0], other))
    with pytest.raises(RegistryError, match=r"describe asset 0x.* differently"):
        merged([registry, Registry(registry.chains, (twin,))])


def test_the_ledger_keeps_what_was_found_out_when_a_file_changes(database_url: str) -> None:
    engine = open_engine(database_url)
    registry = load_funds(FUNDS)
    with writing(engine) as session:
        write(session, registry)
    before = all_rows(engine)
    with writing(engine) as session:
        write(session, registry)
    assert all_rows(engine) == before
    with writing(engine) as session:
        chain = session.get_one(Chain, 1)
        chain.status, chain.head_number = ChainStatus.FOLLOWING, 99
        segment = session.exec(select(Segment).where(Segment.slug == "ethena-reserve")).one()
        segment.start_number = 5
    funds = tuple(
        msgspec.structs.replace(fund, name="Another name") if fund.slug == "ethena-reserve" else fund
        for fund in registry.funds
    )
    with writing(engine) as session:
        write(session, Registry(registry.chains, funds, registry.digests))
    with reading(engine) as session:
        assert session.get_one(Chain, 1).head_number == 99
        assert session.get_one(Fund, "ethena-reserve").name == "Another name"
        found = {segment.slug: segment.start_block for segment in tracked(session, registry, 1)}
        assert found == {"aave-v2-ethereum": None, "ethena-reserve": 5, "morpho-blue-ethereum": 18_883_124}
        ids = session.exec(select(Asset.id)).all()
        assert sorted(i for i in ids if i) == list(range(1, len(ids) + 1))
    engine.dispose()
