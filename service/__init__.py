"""The edge: HTTP, the command line, the SQLite store, the trainer. Everything that touches the outside is here."""
