"""docs/protocols/kafka.md says what is served."""
import re
from pathlib import Path

from robustmq._fastpath.protocols.kafka import messages
from robustmq._fastpath.protocols.kafka.apis import COLD_APIS

from .fakes import HOT_APIS

PAGE = Path(__file__).parents[3] / "docs" / "protocols" / "kafka.md"


def test_the_table_is_what_is_served() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (\d+)–(\d+) \|$", PAGE.read_text(), re.M)
    assert {int(key): (int(low), int(high)) for key, _, low, high in rows} == {**COLD_APIS, **HOT_APIS}
    for key, name, _, _ in rows:
        assert int(key) == getattr(messages, f"{name}Request").API_KEY
