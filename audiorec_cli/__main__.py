"""`python -m audiorec_cli` is the command `audiorec`."""

from audiorec_cli.cli import run

if __name__ == "__main__":
    run()
