"""Models and how they are trained."""
