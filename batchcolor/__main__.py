"""`python -m batchcolor`, and the `batchcolor` script."""

import sys


def main() -> None:
    """Run the command and leave with its exit code."""
    from batchcolor.cli.app import main as command

    sys.exit(command())


if __name__ == "__main__":
    main()
