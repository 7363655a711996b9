"""Where sealed files go that are to outlive this machine's disk: one small interface, `blob.Blob`, over

    directory.py    file:///path                        a directory, for instance of a network file system
    s3.py           s3://bucket/prefix?endpoint=…       S3 and what speaks its protocol (robustmq[s3])
    webhdfs.py      webhdfs://host:9870/path            HDFS through its REST interface (robustmq[hdfs])

`opening.py` makes the one that a URL names, `probe.py` proves that it keeps its word.
"""
