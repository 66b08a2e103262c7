"""Campaigns that `manyarm demo` plays with made-up customers: one file each, and a line in the registry."""
