"""Exchange and third-party APIs that publish a fund's state; one module each, blind to each other."""
