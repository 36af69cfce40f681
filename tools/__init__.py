"""What maintainers run from the repository's root, as ``python -m tools.readme``; not installed with the package."""
