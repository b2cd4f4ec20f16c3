"""`python -m streambed`."""

from streambed.cli import main

if __name__ == "__main__":
    main()
