"""`python -m keras16` is `keras16`."""

from keras16.cli import main

if __name__ == "__main__":
    main()
