"""The scenario with another seed on a real node: what the ledger says is what the chain says when asked directly.

Everything is asked beside the indexer, by a decoder of its own; the play is indexed once from the node into SQLite and
once from its recording into Postgres.
"""

from collections import Counter, defaultdict
from decimal import Decimal

import pytest

from ledger.kinds import Contribution, Role, Side
from tests.rigs.direct_chain import Emission, Question, by_tx
from tests.rigs.played_scenario import (
    Deployment,
    PlayedScenario,
    Row,
    fill,
    index_replayed,
)
from tests.rigs.postgres import PostgresRig
from tests.rigs.scenario_reads import (
    BAD_DEBT_SETTLED,
    COLLATERAL_LIQUIDATED,
    E12,
    FUND_SHARE_PERCENT,
    LARGE,
    MORPHO,
    MORPHO_LIQUIDATE,
    PERPS,
    PNL_REALIZED,
    POSITION_CHANGED,
    POSITION_LIQUIDATED,
    RESERVE,
    SMALL,
    TRANSFER,
    WITHDRAWN,
    capacities,
    moments,
    scheduled_blocks,
    sizes_at,
    traders_of,
)


def test_every_segment_was_read_and_reconciled_up_to_the_head(scenario: PlayedScenario) -> None:
    assert {row["slug"]: row["status"] for row in scenario.tables["segment"]} == dict.fromkeys(
        (LARGE, SMALL, MORPHO, RESERVE), "ok"
    )
    (chain,) = scenario.tables["chain"]
    assert chain["head_number"] == scenario.head
    unread = [row for row in scenario.tables["reading"] if row["value_raw"] is None]
    assert not unread, unread[:3]


@pytest.mark.parametrize("slug", PERPS)
def test_positions_from_events_are_what_the_contract_says_of_every_account_that_ever_traded(
    scenario: PlayedScenario, slug: str
) -> None:
    perp = scenario.perps[slug]
    assert len(traders_of(scenario, perp)) >= 30
    for block in moments(scenario):
        sums: Counter[tuple[str, str]] = Counter()
        for fact in scenario.facts(slug, Role.EXPOSURE_CHANGE, last=block):
            if fact["side"] == Side.POSITION:
                sums[fact["account"], fact["market"]] += fact["amount_raw"]
        indexed = {pair: size for pair, size in sums.items() if size != 0}
        direct = sizes_at(scenario, perp, block)
        print(f"{slug}, block {block}: {len(direct)} open positions")
        assert direct
        assert indexed == direct


@pytest.mark.parametrize("slug", PERPS)
def test_published_open_interest_is_the_sum_of_positions_at_the_contracts_own_price(
    scenario: PlayedScenario, slug: str
) -> None:
    perp = scenario.perps[slug]
    row = max(scenario.metrics(slug, "exposure").values(), key=lambda metric: metric["as_of_number"])
    block = row["as_of_number"]
    assert block == scheduled_blocks(scenario, slug)[-1]
    sizes = sizes_at(scenario, perp, block)
    published = {market["market"]: market for market in row["detail"]["markets"]}
    assert set(published) == set(perp.markets.values())
    total = Decimal(0)
    for base in perp.markets.values():
        price = scenario.chain.call(Question(base, "getIndexPrice(uint256)", (0,)), block)
        longs, shorts = (
            Decimal(
                sum(sign * size for (_, market), size in sizes.items() if market == base and sign * size > 0) * price
            )
            / 10**36
            for sign in (1, -1)
        )
        assert Decimal(published[base]["long_usd"]) == pytest.approx(longs, abs=Decimal("0.01"))
        assert Decimal(published[base]["short_usd"]) == pytest.approx(shorts, abs=Decimal("0.01"))
        total += max(longs, shorts)
    assert row["value"] == pytest.approx(total, abs=Decimal("0.02"))
    assert total > 1_000_000


def whole_units_below_facts(scenario: PlayedScenario, perp: Deployment, block: int) -> int:
    """Units of 1e-6 USDC that the fund has and its facts have not, because each fact floors its PnlRealized.

    The contract floors the sum of what is realised and not yet in the vault; a withdrawal of the fund moves the whole
    units of it there and drops the rest.
    """
    account_balance, vault, fund = (perp.contracts[name] for name in ("AccountBalance", "Vault", "InsuranceFund"))
    realized = scenario.chain.logs(account_balance, PNL_REALIZED, last=block)
    withdrawn = scenario.chain.logs(vault, WITHDRAWN, last=block)
    moves = [(log.block, log.index, log.values[1]) for log in realized if log.values[0] == fund]
    moves += [(log.block, log.index, None) for log in withdrawn if log.values[1] == fund]
    units = pending = 0
    for _, _, amount in sorted(moves, key=lambda move: move[:2]):
        if amount is None:
            units, pending = units + pending // E12, 0
        else:
            units, pending = units - amount // E12, pending + amount
    return units + pending // E12


@pytest.mark.parametrize("slug", PERPS)
def test_the_sum_of_flows_is_the_funds_capacity_at_every_mark_and_every_bad_debt(
    scenario: PlayedScenario, slug: str
) -> None:
    perp = scenario.perps[slug]
    settled = scenario.chain.logs(perp.contracts["Vault"], BAD_DEBT_SETTLED, last=scenario.head)
    blocks = sorted({*moments(scenario), *(log.block for log in settled), *scheduled_blocks(scenario, slug)[::20]})
    direct = capacities(scenario, perp, blocks)
    plain = [capacity - scenario.flow_sum(slug, block) for block, capacity in zip(blocks, direct, strict=True)]
    dropped = [whole_units_below_facts(scenario, perp, block) for block in blocks]
    residuals = [rest - units for rest, units in zip(plain, dropped, strict=True)]
    print(
        f"{slug}: {len(blocks)} blocks, residuals {min(residuals)} to {max(residuals)} units of 1e-6 USDC; "
        f"facts alone are {plain[-1]} units below at the head, since each holds whole units only"
    )
    assert len(settled) >= 20
    assert set(residuals) == {0}
    if slug == SMALL:
        assert min(direct) < 0 < max(direct)


def test_morphos_totals_are_the_sums_of_events_to_the_last_unit_in_every_market(scenario: PlayedScenario) -> None:
    address = scenario.manifest["morpho"]["address"]
    markets = {market["id"] for market in scenario.manifest["morpho"]["markets"].values()}
    moving = (Role.EXPOSURE_CHANGE, Role.INTEREST_ACCRUED, Role.SOCIALISED_LOSS)
    for block in moments(scenario):
        sums: dict[str, Counter[str]] = defaultdict(Counter)
        for fact in scenario.facts(MORPHO, *moving, last=block):
            sums[fact["market"]][fact["side"] or fact["role"]] += fact["amount_raw"]
        for market in markets:
            question = Question(address, "market(bytes32)", (bytes.fromhex(market[2:]),), ("uint128",) * 6)
            supply, supply_shares, borrow, borrow_shares, _, _ = scenario.chain.call(question, block)
            mine = sums[market]
            earned, lost = mine[Role.INTEREST_ACCRUED], mine[Role.SOCIALISED_LOSS]
            assert (mine[Side.SUPPLY] + earned - lost, mine[Side.SUPPLY_SHARES]) == (supply, supply_shares)
            assert (mine[Side.DEBT] + earned, mine[Side.DEBT_SHARES]) == (borrow, borrow_shares)
    assert set(sums) == markets


def test_what_morphos_suppliers_lost_is_the_bad_debt_of_its_liquidations(scenario: PlayedScenario) -> None:
    logs = scenario.chain.logs(scenario.manifest["morpho"]["address"], MORPHO_LIQUIDATE, last=scenario.head)
    booked = sorted((log.block, log.values[-2]) for log in logs if log.values[-2])
    assert len(booked) >= 2
    for role in (Role.SHORTFALL, Role.SOCIALISED_LOSS):
        assert sorted((f["block_number"], f["amount_raw"]) for f in scenario.facts(MORPHO, role)) == booked


def test_the_reserve_agrees_to_the_last_unit(scenario: PlayedScenario) -> None:
    token, wallet = scenario.manifest["tokens"]["USDC"], scenario.manifest["reserve"]["address"]
    balance = Question(token, "balanceOf(address)", (wallet,))
    blocks = [*moments(scenario), *(row["block_number"] for row in scenario.facts(RESERVE))]
    direct = scenario.chain.calls_at([(balance, block) for block in blocks])
    assert direct == [scenario.flow_sum(RESERVE, block) for block in blocks]
    assert len(set(direct)) >= 20


def test_poison_transfers_and_lookalike_tokens_happened_and_are_no_facts(scenario: PlayedScenario) -> None:
    tokens, wallet = scenario.manifest["tokens"], scenario.manifest["reserve"]["address"].lower()
    empty = [
        log for log in scenario.chain.logs(tokens["USDC"], TRANSFER, last=scenario.head)
        if wallet in log.values[:2] and log.values[2] == 0
    ]  # fmt: skip
    fakes = [
        log for log in scenario.chain.logs(tokens["lookalike_USDC"], TRANSFER, last=scenario.head)
        if log.values[1] == wallet and log.values[2] > 0
    ]  # fmt: skip
    symbols = {
        scenario.chain.call(Question(tokens[name], "symbol()", (), ("string",)), scenario.head)
        for name in ("USDC", "lookalike_USDC")
    }
    print(f"{len(empty)} transfers of nothing, {len(fakes)} of a look-alike worth {sum(f.values[2] for f in fakes)}")
    assert symbols == {"USDC"}
    assert len(empty) >= 3
    assert len(fakes) >= 3
    poisoned = {log.tx for log in (*empty, *fakes)}
    assert not [fact for fact in scenario.tables["fact"] if fact["tx_hash"] in poisoned]
    lookalike = tokens["lookalike_USDC"].lower()
    assert lookalike not in {row["address"] for row in (*scenario.tables["raw_log"], *scenario.tables["asset"])}
    assert not [fact for fact in scenario.facts(RESERVE) if not fact["amount_raw"]]


def contributions(scenario: PlayedScenario, slug: str) -> dict[str, list[Row]]:
    """A fund's inflows by source."""
    found = defaultdict(list)
    for fact in scenario.facts(slug, Role.CONTRIBUTION):
        found[fact["source"]].append(fact)
    return found


def solvent_liquidations(scenario: PlayedScenario, perp: Deployment, liquidated: list[Emission]) -> list[Emission]:
    """Those whose account was worth 0 or more before the penalty: then the fund gets half of it, else nothing.

    Value before = getAccountValue after + penalty − what was written off in the same transaction; a liquidation has
    a block of its own in this play.
    """
    settled = by_tx(scenario.chain.logs(perp.contracts["Vault"], BAD_DEBT_SETTLED, last=scenario.head))
    house = perp.contracts["ClearingHouse"]
    asked = [
        (Question(house, "getAccountValue(address)", (log.values[0],), ("int256",)), log.block) for log in liquidated
    ]
    found = []
    for log, after in zip(liquidated, scenario.chain.calls_at(asked), strict=True):
        written_off = sum(debt.values[1] for debt in settled.get(log.tx, []) if debt.values[0] == log.values[0])
        if after + log.values[4] - written_off * E12 >= 0:
            found.append(log)
    return found


@pytest.mark.parametrize("slug", PERPS)
def test_liquidation_fees_are_half_the_penalties_of_solvent_accounts_and_the_collateral_fees(
    scenario: PlayedScenario, slug: str
) -> None:
    parts, last = scenario.perps[slug].contracts, scenario.head
    liquidated = scenario.chain.logs(parts["ClearingHouse"], POSITION_LIQUIDATED, last=last)
    solvent = solvent_liquidations(scenario, scenario.perps[slug], liquidated)
    halves = [(log.tx, log.values[4] // 2 // E12) for log in solvent]
    sold = scenario.chain.logs(parts["Vault"], COLLATERAL_LIQUIDATED, last=last)
    fees = [(log.tx, log.values[5]) for log in sold if log.values[5]]
    print(f"{slug}: {len(halves)} of {len(liquidated)} liquidations were solvent, {len(fees)} sales of collateral")
    assert 0 < len(halves) < len(liquidated)
    assert fees
    facts = contributions(scenario, slug)[Contribution.LIQUIDATION_FEE]
    assert sorted((fact["tx_hash"], fact["amount_raw"]) for fact in facts) == sorted([*halves, *fees])


@pytest.mark.parametrize("slug", PERPS)
def test_trading_fees_are_the_funds_share_of_what_traders_paid(scenario: PlayedScenario, slug: str) -> None:
    house = scenario.perps[slug].contracts["ClearingHouse"]
    paid = by_tx(scenario.chain.logs(house, POSITION_CHANGED, last=scenario.head))
    expected = {
        tx: share // E12
        for tx, logs in paid.items()
        if (share := sum(log.values[4] for log in logs) * FUND_SHARE_PERCENT // 100) >= E12
    }
    facts = contributions(scenario, slug)[Contribution.TRADING_FEE]
    counted: Counter[str] = Counter()
    for fact in facts:
        counted[fact["tx_hash"]] += fact["amount_raw"]
    wrong = {tx: (counted[tx], expected.get(tx)) for tx in {*counted, *expected} if counted[tx] != expected.get(tx)}
    print(f"{slug}: {len(expected)} trades with a fee, {sum(expected.values())} units; {wrong or 'none'} differ")
    assert len(expected) > 100
    assert all(abs(got - (meant or 0)) <= 1 for got, meant in wrong.values()), wrong


@pytest.mark.parametrize("slug", PERPS)
def test_top_ups_are_the_bare_transfers_of_the_dao_and_no_inflow_is_left_without_a_source(
    scenario: PlayedScenario, slug: str
) -> None:
    fund, dao = scenario.perps[slug].contracts["InsuranceFund"], scenario.manifest["actors"]["dao"].lower()
    transfers = scenario.chain.logs(scenario.manifest["tokens"]["USDC"], TRANSFER, last=scenario.head)
    given = [(log.tx, log.values[2]) for log in transfers if log.values[:2] == (dao, fund)]
    assert len(given) == {LARGE: 1, SMALL: 3}[slug]
    found = contributions(scenario, slug)
    assert sorted((fact["tx_hash"], fact["amount_raw"]) for fact in found[Contribution.TOP_UP]) == sorted(given)
    assert set(found) == {Contribution.TOP_UP, Contribution.TRADING_FEE, Contribution.LIQUIDATION_FEE}


@pytest.mark.parametrize("slug", PERPS)
def test_payouts_are_the_bad_debts_that_the_vault_settled(scenario: PlayedScenario, slug: str) -> None:
    settled = scenario.chain.logs(scenario.perps[slug].contracts["Vault"], BAD_DEBT_SETTLED, last=scenario.head)
    booked = [(log.block, log.index, *log.values) for log in settled if log.values[1]]
    for role in (Role.SHORTFALL, Role.PAYOUT):
        facts = scenario.facts(slug, role)
        assert sorted((f["block_number"], f["log_index"], f["account"], f["amount_raw"]) for f in facts) == booked


def test_a_replay_of_the_recording_fills_postgres_with_the_same_rows_and_metrics(
    scenario: PlayedScenario, postgres: PostgresRig, migrated_postgres: str
) -> None:
    url = postgres.create_database(template=migrated_postgres)
    replayed = fill(url, lambda engine: index_replayed(engine, scenario.recording))
    postgres.drop_database(url)
    for name in ("fund", "asset", "segment", "raw_log", "fact", "reading", "price", "snapshot", "metric"):
        assert len(scenario.tables[name]) == len(replayed[name]), name
        for mine, theirs in zip(scenario.tables[name], replayed[name], strict=True):
            assert mine == theirs, name
    assert len(replayed["metric"]) > 5_000
