"""Fund and chain files as they are written: every key, and why a file is refused.

RegistryError       the files as a whole do not fit together
└── FundFileError   one file: which key, what is wrong, how to mend it
"""

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from eth_utils.address import is_checksum_address

from indexer.adapter import AdapterError
from ledger.kinds import FundKind, Shape, SourceKind

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
LONGEST_SYMBOL = 32
UNITS = frozenset(
    {"usd", "us$", "$", "ratio", "×", "fraction", "%", "count", "band", "text", "day", "days"}
    | {"seconds", "per day", "per year", "usd per day"}
)
"""What stands behind numbers on pages, in lower case: amounts of a token of such a name would be read as dollars."""


class RegistryError(Exception):
    """Fund and chain files do not fit together."""


class FundFileError(RegistryError):
    """A file cannot be used: says the file, the key and the fix."""


class ChainSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A chain, a recording of one, or a venue."""

    id: int
    slug: str
    name: str
    kind: SourceKind = SourceKind.LIVE
    explorer: str = ""
    rpc: tuple[str, ...] = ()
    multicall3: str | None = None
    multicall3_block: int | None = None
    block_time_ms: int = 12_000
    finality_seconds: int = 900
    is_venue: bool = False
    provenance: str = ""
    origin: str = ""


class PlatformSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who runs the fund."""

    slug: str
    name: str
    url: str = ""


class AssetSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A token or a perpetual's base asset with the parameters of METHOD M1."""

    address: str
    symbol: str
    decimals: int
    is_market: bool = False
    feed: str | None = None
    beta: float = 1.0
    depth_haircut: float = 0.0
    floor_haircut: float = 0.0
    access: float = 1.0
    access_reason: str = ""


class LayerSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One layer that absorbs a loss."""

    layer: str
    owner: str
    trigger: str
    note: str = ""


class SourceSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the file's facts come from."""

    title: str
    url: str = ""


class FundSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One fund file."""

    slug: str
    name: str
    kind: FundKind
    shape: Shape
    chain: int
    summary: str
    methodology: str
    control: str
    platform: PlatformSpec
    waterfall: tuple[LayerSpec, ...]
    sources: tuple[SourceSpec, ...]
    caveats: tuple[str, ...]
    contracts: dict[str, str] = {}
    assets: tuple[AssetSpec, ...] = ()
    balance_asset: str | None = None
    start_block: int | None = None
    snapshot_every: Literal["hour", "day"] = "hour"

    def asset(self, symbol: str) -> AssetSpec | None:
        """The asset of that symbol."""
        return next((asset for asset in self.assets if asset.symbol == symbol), None)

    def balance(self) -> AssetSpec:
        """The asset its balance is counted in; raises AdapterError where the file names none."""
        found = self.asset(self.balance_asset) if self.balance_asset else None
        if found is None:
            raise AdapterError(
                f"shape {self.shape} needs balance_asset, the symbol of the asset the fund is counted in"
            )
        return found

    def contract(self, name: str) -> str:
        """The address of a contract the shape needs; raises AdapterError."""
        if name not in self.contracts:
            raise AdapterError(f"shape {self.shape} needs contracts.{name}")
        return self.contracts[name]

    def check_contracts(self, required: set[str], optional: frozenset[str] = frozenset()) -> None:
        """Raises AdapterError for a contract that is missing or that the shape does not know."""
        for name in sorted(required):
            self.contract(name)
        unknown = sorted(set(self.contracts) - required - optional)
        if unknown:
            near = get_close_matches(unknown[0], required | optional, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(sorted(required | optional))}"
            raise AdapterError(f'unknown key "{unknown[0]}" in [contracts] of shape {self.shape} ({hint})')


class ChainFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`chains.toml`, or the `chain.toml` of a recording."""

    chain: tuple[ChainSpec, ...]


@dataclass(frozen=True)
class FilePlace:
    """A file and what its tables are called, for messages."""

    path: Path
    tables: Mapping[str, type[msgspec.Struct]] = field(default_factory=dict)

    def refuse(self, message: str) -> FundFileError:
        """The error to raise about this file."""
        return FundFileError(f"{self.path}: {message}")


FUND_TABLES: dict[str, type[msgspec.Struct]] = {
    "": FundSpec,
    "platform": PlatformSpec,
    "assets": AssetSpec,
    "waterfall": LayerSpec,
    "sources": SourceSpec,
}
CHAIN_TABLES: dict[str, type[msgspec.Struct]] = {"": ChainFile, "chain": ChainSpec}

FileT = TypeVar("FileT", FundSpec, ChainFile)


def load_toml(place: FilePlace, schema: type[FileT]) -> FileT:
    """The file as its schema; raises FundFileError with key and fix."""
    try:
        content = tomllib.loads(place.path.read_text(encoding="utf-8"))
    except OSError as error:
        raise place.refuse(f"cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise place.refuse(f"is no valid TOML ({error})") from error
    try:
        return msgspec.convert(content, schema)
    except msgspec.ValidationError as error:
        raise place.refuse(explained(str(error), place.tables)) from error


def explained(message: str, tables: Mapping[str, type[msgspec.Struct]]) -> str:
    """msgspec's message in the words of the file; an unknown key gets the likeliest one."""
    unknown = re.search(r"unknown field `(.+?)`(?: - at `\$\.?(.*)`)?", message)
    if unknown is None:
        return message.replace("Object missing required field", "lacks the key").replace("$.", "").replace("`$", "`")
    key, place = unknown[1], unknown[2] or ""
    table = re.split(r"[.\[]", place)[0]
    known = [item.name for item in msgspec.structs.fields(tables.get(table, tables[""]))]
    near = get_close_matches(key, known, n=1)
    where = f" in [{table}]" if table else ""
    hint = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(sorted(known))}"
    return f'unknown key "{key}"{where} ({hint})'


def lowered_address(place: FilePlace, key: str, text: str) -> str:
    """A 20-byte address in lower case; a mixed-case one must carry a valid checksum (EIP-55)."""
    if not ADDRESS.fullmatch(text):
        raise place.refuse(f'{key} = "{text}" is not 0x and 40 hexadecimal digits')
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and not is_checksum_address(text):
        raise place.refuse(f'{key} = "{text}" fails its checksum: copy it again, or write it in lower case')
    return text.lower()


def load_chain_file(path: Path) -> tuple[ChainSpec, ...]:
    """The chains of a file; raises FundFileError."""
    place = FilePlace(path, CHAIN_TABLES)
    return tuple(checked_chain(place, chain) for chain in load_toml(place, ChainFile).chain)


def checked_chain(place: FilePlace, chain: ChainSpec) -> ChainSpec:
    """The chain with what msgspec's types cannot say checked."""
    if not SLUG.fullmatch(chain.slug):
        raise place.refuse(f'slug = "{chain.slug}" must be lower-case words joined by hyphens')
    if chain.kind == SourceKind.LIVE and len(chain.rpc) < 2:
        raise place.refuse(f"chain {chain.slug} names {len(chain.rpc)} endpoint(s) in rpc; two or more are needed")
    if chain.kind != SourceKind.LIVE and not chain.provenance:
        raise place.refuse(f"chain {chain.slug} is {chain.kind} and needs a provenance")
    if chain.multicall3 is None:
        return chain
    return msgspec.structs.replace(chain, multicall3=lowered_address(place, "multicall3", chain.multicall3))


def load_fund_file(path: Path) -> FundSpec:
    """One fund file, addresses in lower case; raises FundFileError."""
    place = FilePlace(path, FUND_TABLES)
    return checked_fund(place, load_toml(place, FundSpec))


def checked_fund(place: FilePlace, fund: FundSpec) -> FundSpec:
    """The fund with texts present, fractions in range, symbols unique and addresses in lower case."""
    if not SLUG.fullmatch(fund.slug):
        raise place.refuse(f'slug = "{fund.slug}" must be lower-case words joined by hyphens')
    for key in ("name", "summary", "methodology", "control", "sources", "caveats", "waterfall"):
        if not getattr(fund, key):
            raise place.refuse(f"{key} is empty; readers need it")
    is_venue = fund.shape == Shape.DRIFT
    assets = tuple(checked_asset(place, asset, is_venue=is_venue) for asset in fund.assets)
    for key in ("address", "symbol"):
        values = [getattr(asset, key) for asset in assets]
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise place.refuse(f'two [[assets]] have {key} = "{twice}"')
    if fund.balance_asset is not None and fund.asset(fund.balance_asset) is None:
        raise place.refuse(f'balance_asset = "{fund.balance_asset}" is the symbol of none of the [[assets]]')
    contracts = {name: lowered_address(place, f"contracts.{name}", text) for name, text in fund.contracts.items()}
    return msgspec.structs.replace(fund, assets=assets, contracts=contracts)


def checked_asset(place: FilePlace, asset: AssetSpec, *, is_venue: bool) -> AssetSpec:
    """The asset with a clear symbol and M1 parameters in range; a venue's asset has its symbol for an address."""
    if fault := symbol_fault(asset.symbol):
        shown = asset.symbol[:80].encode("unicode_escape").decode()  # What cannot be seen would not be found.
        raise place.refuse(f'[[assets]] with address = "{asset.address}": symbol = "{shown}" {fault}')
    where = f"assets.{asset.symbol}"
    for key in ("depth_haircut", "floor_haircut", "access"):
        if not 0 <= getattr(asset, key) <= 1:
            raise place.refuse(f"{where}.{key} = {getattr(asset, key)} is no share between 0 and 1")
    if not 0 <= asset.beta <= 10:
        raise place.refuse(f"{where}.beta = {asset.beta} is not between 0 and 10")
    if not 0 <= asset.decimals <= 36:
        raise place.refuse(f"{where}.decimals = {asset.decimals} is not between 0 and 36")
    if asset.access < 1 and not asset.access_reason:
        raise place.refuse(f"{where}.access = {asset.access} needs an access_reason")
    address = asset.address if is_venue else lowered_address(place, f"{where}.address", asset.address)
    feed = asset.feed and lowered_address(place, f"{where}.feed", asset.feed)
    return msgspec.structs.replace(asset, address=address, feed=feed)


def symbol_fault(symbol: str) -> str:
    """Why amounts cannot be printed with that symbol, and how to mend it; empty where they can."""
    if not symbol:
        return "is empty: write the one that the contract's symbol() answers"
    if len(symbol) > LONGEST_SYMBOL:
        return f"has {len(symbol)} characters, {LONGEST_SYMBOL} are the most: shorten it"
    hidden = next((sign for sign in symbol if not sign.isprintable()), None)
    if hidden is not None:
        return f"contains U+{ord(hidden):04X}, a control, a mark of direction or an odd space: take it out"
    if symbol != symbol.strip():
        return "begins or ends with a space: take it out"
    if unicodedata.normalize("NFKC", symbol).casefold() in UNITS:
        return f'is a unit of numbers on pages: say which token it is, such as "{symbol} (token)"'
    return ""
