"""`python -m verifier`."""


def main() -> None:
    raise SystemExit("not written yet")
