"""HTTP on http.listen: health, metrics, and the API that robustmq-ctl speaks.

    http.py       requests and responses over h11, bounded in size, time and number
    api.py        the table of routes, and what each answers
    metrics.py    Prometheus text from the counters of all parts

The listener has no users yet and therefore stands on 127.0.0.1 by default. A request that a browser sends for another
site is refused (it carries Origin), so a page in the administrator's browser cannot reach it.
"""
