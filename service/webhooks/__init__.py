"""Events of mail providers: one file a provider, one line in `registry`; signed, kept as they came, read afterwards."""
