//! The command line: the only place that prints text, colours and exit codes.
