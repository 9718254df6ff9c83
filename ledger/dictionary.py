"""The data dictionary: every table and column with its sentence, as docs/data-dictionary.md prints it.

`python -m ledger.dictionary > docs/data-dictionary.md` writes it anew; a test compares the two.
"""

import sys

from sqlmodel import SQLModel

from ledger import tables


def render_dictionary() -> str:
    """The dictionary in Markdown, tables in the order data walks through them."""
    parts = [
        "# Data dictionary",
        "",
        "Made from `ledger/tables/`; exact integers are in smallest units, times are UTC.",
        "",
    ]
    for name, table in SQLModel.metadata.tables.items():
        parts += [f"## {name}", "", _sentence(name), "", "| column | type | meaning |", "|---|---|---|"]
        for column in table.c:
            mark = " (key)" if column.primary_key else ""
            optional = ", may be NULL" if column.nullable else ""
            kind = type(column.type).__name__.removesuffix("Text").lower().replace("autostring", "text")
            parts.append(
                f"| `{column.name}`{mark} | {kind}{optional} | {column.comment or 'Number given by the database'} |"
            )
        parts.append("")
    return "\n".join(parts)


def _sentence(table_name: str) -> str:
    models = [m for m in vars(tables).values() if getattr(m, "__tablename__", None) == table_name]
    return (models[0].__doc__ or "").strip()


if __name__ == "__main__":
    sys.stdout.write(render_dictionary())
