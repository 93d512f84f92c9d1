//! Stage kinds: what the built-in stages do.
