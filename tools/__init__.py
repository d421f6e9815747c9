"""Scripts that work on the project from outside; none of them is part of the package."""
