"""What every test may ask for: the rigs, and two rules of this house (loopback only, and no silent skips)."""

pytest_plugins = [
    "pytester",
    "tests.rigs.strictness",
    "tests.rigs.workers",
    "tests.rigs.properties",
    "tests.rigs.network",
    "tests.rigs.databases",
    "tests.rigs.node_parts",
    "tests.rigs.anvil",
    "tests.rigs.chromium",
    "tests.rigs.real_data",
    "tests.rigs.seeds",
    "tests.rigs.rpc_faults",
    "tests.rigs.demo_ledger",
]
