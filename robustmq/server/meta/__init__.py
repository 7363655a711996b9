"""The MetaStore: state that changes rarely (topics that somebody configured, cluster id, later users, ACLs, placement).

    store.py    the interface, shaped like etcd: revisions, compare-and-swap, prefix watch, leases
    sqlite.py   the store in this process
    leases.py   deadlines of leases on the event loop

tests/contract/test_metastore.py is what a store must pass; another one is added to its list of stores.
"""
