"""`python -m lamella`."""

import sys

from lamella.cli import main

sys.exit(main())
