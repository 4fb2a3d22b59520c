"""`python -m pipelines.cli` is `mhwg`."""

from pipelines.cli import main

main()
