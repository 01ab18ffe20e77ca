"""`python -m zoo`: what torchrun starts."""

from zoo.cli import main

main()
