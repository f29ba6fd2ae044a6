"""The command `audiorec`, and `python -m audiorec_cli`."""

import sys


def run():
    """Run the command line. Ctrl-C is quiet from the first import on."""
    try:
        from audiorec_cli import cli
    except KeyboardInterrupt:
        sys.exit(130)
    cli.run()


if __name__ == "__main__":
    run()
