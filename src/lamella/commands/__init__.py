"""What the command line's verbs do, each from the public interface alone."""
