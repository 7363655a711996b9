"""robustmq-ctl: administers a broker through its HTTP API, and looks at the data directory of one that does not run."""
