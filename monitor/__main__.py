"""`python -m monitor` is `vp`."""

import sys

from monitor.cli import main

sys.exit(main())
