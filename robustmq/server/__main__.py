"""python -m robustmq.server"""
import sys

from robustmq.server.main import main

sys.exit(main())
