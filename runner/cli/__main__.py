"""python -m runner.cli: the command line where its script is not on the path."""

from runner.cli import main

main(prog_name="recipe")
