"""Tiering: where sealed files go beside the local disk (docs/operations/tiering.md)."""
