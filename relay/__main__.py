"""`python -m relay`: the command line."""

from relay.cli import main

if __name__ == "__main__":
    main(prog_name="relay")
