"""Recordings built from published tables of real chain data; one module a source, each checks what it reads."""
