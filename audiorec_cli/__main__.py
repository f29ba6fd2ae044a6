"""The command `audiorec`, and `python -m audiorec_cli`."""

import sys

from audiorec_cli.errors import ExitStatus


def run():
    """Run the command line. Ctrl-C is quiet from the first import on."""
    try:
        from audiorec_cli import cli
    except KeyboardInterrupt:
        sys.exit(ExitStatus.INTERRUPTED)
    cli.run()


if __name__ == "__main__":
    run()
