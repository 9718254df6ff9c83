"""Shapes of the hex words that recordings hold: lower case, 0x, fixed lengths where the chain fixes them."""

from typing import Annotated

from msgspec import Meta

Address = Annotated[str, Meta(pattern="^0x[0-9a-f]{40}$")]
Hash = Annotated[str, Meta(pattern="^0x[0-9a-f]{64}$")]
Bloom = Annotated[str, Meta(pattern="^0x[0-9a-f]{512}$")]
HexData = Annotated[str, Meta(pattern="^0x([0-9a-f]{2})*$")]
Count = Annotated[int, Meta(ge=0)]

ZERO_HASH = "0x" + "00" * 32
ZERO_BLOOM = "0x" + "00" * 256
