"""The parts of a report, in the order of the page."""
