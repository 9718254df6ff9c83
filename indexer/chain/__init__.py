"""Which blocks are final, and what a new header means for the blocks we hold. Pure: headers in, decisions out."""
