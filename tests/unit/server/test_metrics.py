"""Counters become Prometheus families."""
from prometheus_client.parser import text_string_to_metric_families

from robustmq.server.admin.metrics import Source, text


def test_shapes() -> None:
    buckets = [0] * 32
    buckets[3], buckets[31] = 2, 1
    body, content_type = text([
        Source("reactor", [{"bytes_in": 5, "connections": 2, "busy_ns": 10**9}, {"bytes_in": 7, "connections": 1}],
               "reactor"),
        Source("kafka", [{"requests": {0: 4, 3: 1}, "errors": {}}]),
        Source("journal", [{"syncs": 3, "sync_ns": 5 * 10**9, "sync_ns_max": 10**9, "sync_buckets": buckets}]),
    ])
    assert content_type.startswith("text/plain")
    found = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value
             for family in text_string_to_metric_families(body.decode()) for sample in family.samples}
    assert found["robustmq_reactor_bytes_in_total", (("reactor", "1"),)] == 7
    assert found["robustmq_reactor_connections", (("reactor", "0"),)] == 2
    assert found["robustmq_reactor_busy_seconds_total", (("reactor", "0"),)] == 1
    assert found["robustmq_kafka_requests_total", (("api", "0"),)] == 4
    assert found["robustmq_journal_sync_seconds_bucket", (("le", "8e-06"),)] == 2
    assert found["robustmq_journal_sync_seconds_bucket", (("le", "4e-06"),)] == 0
    assert found["robustmq_journal_sync_seconds_count", ()] == 3
    assert found["robustmq_journal_sync_seconds_sum", ()] == 5
    assert found["robustmq_journal_sync_seconds_max", ()] == 1
    assert ("process_resident_memory_bytes", ()) in found
