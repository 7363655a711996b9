"""python -m robustmq.cli"""
import sys

from robustmq.cli.main import main

sys.exit(main())
