"""What can be configured, and where it comes from.

    sections.py     one dataclass for each section: every key, its default, its bounds and its sentence of documentation
    kinds.py        how a value is written: numbers, sizes ("128MiB"), durations ("30s"), addresses, choices
    load.py         defaults < TOML file < environment (ROBUSTMQ_SECTION_KEY) < --set section.key=value
    render.py       --print-config and docs/operations/configuration.md, both made from the dataclasses

A `Config` is immutable and whole: whoever holds one need not check anything again.
"""
