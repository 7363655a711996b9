"""robustmq-ctl: administers a broker through its HTTP API, and through nothing else."""
